"""Third parties whose endpoints take their time: whom they hold up, and what is sent meanwhile."""

import asyncio
from uuid import UUID

import pytest

from billfold_server.consents import queries as consent_queries
from billfold_server.open_banking.events import pushing, queries
from billfold_server.open_banking.events.rows import Subscription
from billfold_server.outbound import reach, sending
from billfold_server.outbound.service import Cause, Failure
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import TenantTx
from tests.server.open_banking.events.telling import Teller
from tests.server.open_banking.events.test_pushing import TAKEN, push_anew
from tests.server.outbound.endpoints import Endpoint, answering


class TestASlowThirdParty:
    async def test_delays_no_other_job_of_its_tenant(self, teller: Teller):
        """While its endpoint says nothing, the visit ends and others are served."""
        held = asyncio.Event()

        async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await held.wait()
            await TAKEN(reader, writer)

        async with Endpoint(hold).listening() as endpoint:
            await teller.subscribe(endpoint.url())
            await teller.revoked()
            await teller.publish()
            async with asyncio.timeout(30):
                await teller.runner.run(teller.tenant)
            async with asyncio.timeout(30):
                while not endpoint.open:
                    await asyncio.sleep(0.001)
            held.set()
            await teller.runner.settle()
        assert await teller.unread() == []

    @pytest.mark.parametrize("change", ["ended", "moved", "kept out"])
    async def test_is_pushed_no_more_of_a_batch_once_it_is_not_to_be(
        self, teller: Teller, monkeypatch: pytest.MonkeyPatch, change: str
    ):
        """What is still to be sent goes to where the subscription says by then, or not while it says nothing."""
        monkeypatch.setattr(sending, "_LOOK_S", 0.0)

        changing, changed = asyncio.Lock(), False

        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal changed
            async with changing:
                if not changed and change == "moved":
                    await push_anew(teller, elsewhere.url())
                elif not changed:
                    async with teller.database.tx(teller.tenant) as tx:
                        if change == "ended":
                            await queries.delete(tx, subscription.id)
                        else:
                            assert await consent_queries.block(tx, teller.client_id, "x", "x", subscription.created_at)
                changed = True
            await TAKEN(reader, writer)

        async with Endpoint(behave).listening() as endpoint, Endpoint(TAKEN).listening() as elsewhere:
            subscription = await teller.subscribe(endpoint.url(), ("UK.OBIE.Consent-Authorization-Revoked",))
            for _ in range(6):
                await teller.revoked()
            await teller.publish()
            await teller.work()
        # Four at most are on their way at once.
        assert 1 <= len(endpoint.bodies) <= 4
        assert len(elsewhere.bodies) == (6 - len(endpoint.bodies) if change == "moved" else 0)

    async def test_is_pushed_the_rest_with_the_next_batch_where_it_cannot_be_seen_whether_it_stands(
        self, teller: Teller, monkeypatch: pytest.MonkeyPatch
    ):
        """Nothing was sent meanwhile, so none of it was an attempt that failed, after which it would wait."""
        monkeypatch.setattr(sending, "_LOOK_S", 0.0)
        find, looks = queries.find_of_client, 0

        async def find_later(tx: TenantTx, client_id: UUID) -> Subscription | None:
            nonlocal looks
            looks += 1
            if looks == 1:
                raise ConnectionResetError
            return await find(tx, client_id)

        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            monkeypatch.setattr(queries, "find_of_client", find_later)
            await TAKEN(reader, writer)

        async with Endpoint(behave).listening() as endpoint:
            await teller.subscribe(endpoint.url(), ("UK.OBIE.Consent-Authorization-Revoked",))
            for _ in range(6):
                await teller.revoked()
            await teller.publish()
            await teller.work()
        assert looks > 1
        assert (len(endpoint.bodies), await teller.unread()) == (6, [])

    async def test_that_moves_does_not_wait_for_as_long_as_its_former_endpoint_has_said(self, teller: Teller):
        """What was on its way there when it moved says nothing of the new one, though it was the first attempt."""
        away = answering("503 Service Unavailable", "Retry-After: 86400")

        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await push_anew(teller, elsewhere.url())
            await away(reader, writer)

        async with Endpoint(behave).listening() as endpoint, Endpoint(TAKEN).listening() as elsewhere:
            await teller.subscribe(endpoint.url(), ("UK.OBIE.Consent-Authorization-Revoked",))
            await teller.revoked()
            await teller.publish()
            await teller.work()
        assert (len(endpoint.bodies), len(elsewhere.bodies)) == (1, 1)
        assert await teller.unread() == []

    async def test_whose_turn_is_over_goes_on_behind_those_who_wait(
        self, teller: Teller, monkeypatch: pytest.MonkeyPatch
    ):
        """However old what waits for it is: else many that are slow kept all places, and others never had one."""
        monkeypatch.setattr(sending, "_SENDS_S", -1.0)
        await teller.subscribe("https://tpp.example")
        await teller.revoked()
        await teller.publish()
        began_at = await teller.now()
        await teller.work()
        async with teller.database.tx(teller.tenant) as tx:
            due_at = await tx.fetchval("SELECT min(due_at) FROM jobs WHERE kind = $1", pushing.PUSH_JOB)
        assert due_at >= began_at

    async def test_delays_no_other_one_at_the_same_host(self, teller: Teller):
        """A provider may receive for many of them, each below a path of its own."""
        held, other = asyncio.Event(), UUID(int=5)

        async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if "/slow/" in endpoint.heads[-1].partition("\r\n")[0]:
                await held.wait()
            await TAKEN(reader, writer)

        async with Endpoint(hold).listening() as endpoint:
            await teller.subscribe(endpoint.url("/slow"), ("UK.OBIE.Consent-Authorization-Revoked",))
            for _ in range(4):
                await teller.revoked()
            await teller.publish()
            async with asyncio.timeout(30):
                await teller.runner.run(teller.tenant)
                while endpoint.open < 4:
                    await asyncio.sleep(0.001)
                await teller.subscribe(endpoint.url("/quick"), client_id=other)
                await teller.bank.revoke(await teller.bank.authorise(await teller.bank.ask(other)))
                await teller.publish()
                await teller.runner.run(teller.tenant)
                while not any("/quick/" in head.partition("\r\n")[0] for head in endpoint.heads):
                    await asyncio.sleep(0.001)
            held.set()
            await teller.runner.settle()


class TestAThirdPartyThatIsNotThere:
    @pytest.mark.parametrize(("cause", "takes_s"), [("unresolved", 0.0), ("timeout", 1.1)])
    async def test_is_asked_a_few_times_at_each_instant_of_a_clock_that_is_moved(
        self, teller: Teller, monkeypatch: pytest.MonkeyPatch, cause: Cause, takes_s: float
    ):
        """Though it takes longer to find that out than a clock is to wait. Each attempt is one all the same."""
        asked: list[str] = []

        async def post(_: TenantRef, url: str, **__: object) -> Failure:
            asked.append(url)
            await asyncio.sleep(takes_s)
            return Failure(cause=cause, took_s=takes_s)

        monkeypatch.setattr(teller.outbound, "post", post)
        monkeypatch.setattr(reach, "_MOVED_S", 1.0)
        await teller.pass_time(seconds=1)
        await teller.subscribe("https://tpp.example", ("UK.OBIE.Consent-Authorization-Revoked",))
        for _ in range(30):
            await teller.revoked()
        await teller.publish()
        await teller.pass_time(minutes=1)
        assert await teller.states() == [("unread", 2, cause)] * 30
        # Four times at each of two instants, and as often more as a run took so long that it was begun anew.
        assert len(asked) <= 24

    async def test_is_asked_for_each_notification_while_time_passes(
        self, teller: Teller, monkeypatch: pytest.MonkeyPatch
    ):
        """Somebody may be there a moment later."""
        asked: list[str] = []

        async def post(_: TenantRef, url: str, **__: object) -> Failure:
            asked.append(url)
            return Failure(cause="unresolved", took_s=0.0)

        monkeypatch.setattr(teller.outbound, "post", post)
        await teller.subscribe("https://tpp.example", ("UK.OBIE.Consent-Authorization-Revoked",))
        for _ in range(6):
            await teller.revoked()
        await teller.publish()
        await teller.work()
        assert len(asked) == 6
