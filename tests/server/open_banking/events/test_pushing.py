"""Notifications on their way to a third party whose endpoint takes them, or doesn't."""

import asyncio
import signal
from collections import Counter, defaultdict
from datetime import timedelta
from multiprocessing.context import ForkServerProcess
from typing import cast
from uuid import UUID

import msgspec
import pytest

from billfold import ids
from billfold.contract.platform import Event
from billfold.ids import Prefix
from billfold_server.connectors.service import Notice, Report
from billfold_server.consents import queries as consent_queries
from billfold_server.db import jobs
from billfold_server.db.outbox import NewEvent, emit, list_events
from billfold_server.identity import service as identity
from billfold_server.keys.service import Keys
from billfold_server.open_banking.events import queries, staff
from billfold_server.open_banking.events.pushing import push_job
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.transaction import TenantTx
from tests.explaining import Explaining
from tests.forks import forked
from tests.keystores import StoreUrls
from tests.postgres import WAITS_FOR_US
from tests.server.open_banking.events import killable_pusher
from tests.server.open_banking.events.telling import BASE_URL, Teller, claims_in, wire
from tests.server.outbound.endpoints import Endpoint, answering
from tests.server.payments.desk import Desk
from tests.tenants import Tenancy

TAKEN = answering("202 Accepted")
URN = "urn:uk:org:openbanking:events:"
LINKED = ("account-access", "domestic-vrp")


async def events_of(teller: Teller, type_: str) -> list[Event]:
    """Return the stream's events of a type."""
    async with teller.database.tx(teller.tenant) as tx:
        return await list_events(tx, event_type=type_)


async def shown(teller: Teller) -> tuple[str, str | None, str | None, str | None]:
    """Return what staff see of the first notification: state, last result, and its reader's code and words."""
    async with teller.database.tx(teller.tenant) as tx:
        *_, first = await queries.list_told(tx, client_id=None, state=None, before=None, limit=9)
    seen = staff.shown(first)
    return seen.state, seen.last_result, seen.error, seen.error_description


async def push_anew(teller: Teller, callback_url: str, *, delete: bool = False) -> None:
    """Have all pushed that the third party hasn't read, as when it changes its subscription or has another one."""
    found = await teller.subscription()
    async with teller.database.tx(teller.tenant) as tx:
        now = await tenant_now(tx)
        changed = msgspec.structs.replace(found, callback_url=callback_url, updated_at=now)
        if delete:
            await queries.delete(tx, found.id)
            assert await queries.insert(tx, msgspec.structs.replace(changed, id=ids.uuid7(), created_at=now))
        await queries.update(tx, changed)
        await queries.disarm(tx, teller.client_id)
        assert await queries.arm(tx, teller.client_id, now)
        await jobs.enqueue_or_hasten(tx, push_job(teller.client_id, now))


class TestARevokedConsent:
    async def test_is_told_with_a_token_that_anybody_can_verify(self, teller: Teller):
        """The token is signed by PS256 under the tenant's JWKS, and says what was revoked; taken, it is gone."""
        async with Endpoint(TAKEN).listening() as endpoint:
            await teller.subscribe(endpoint.url("/open-banking/v4.0"))
            consent = await teller.revoked()
            await teller.publish()
            await teller.work()
            await teller.work()
        (body,) = endpoint.bodies[1:]  # The first told that it was authorised.
        header, claims = await teller.verified(body)
        assert (header["typ"], header["alg"]) == ("secevent+jwt", "PS256")
        assert claims["iss"] == f"{BASE_URL}/t/testbank"
        assert claims["aud"] == wire(teller.client_id)
        assert claims["sub"].endswith(f"/open-banking/v4.0/aisp/account-access-consents/{consent.wire_id}")
        assert len(claims["events"]) == 2
        (event,) = await events_of(teller, "consent.revoked")
        assert claims["txn"] == event.id
        head = endpoint.heads[1].lower()
        assert head.startswith("post /open-banking/v4.0/event-notifications http/1.1")
        assert "\r\ncontent-type: application/jwt\r\n" in head
        assert "\r\nx-fapi-financial-id: testbank\r\n" in head
        assert f"\r\nx-fapi-interaction-id: {claims['jti']}\r\n" in head
        assert await teller.unread() == []

    async def test_is_told_once_however_often_the_stream_is_read(self, teller: Teller):
        """The same event makes one notification, whose id stays."""
        await teller.subscribe(None)
        await teller.revoked()
        await teller.publish()
        before = await teller.unread()
        async with teller.database.tx(teller.tenant) as tx:
            events = await list_events(tx)
        await teller.publisher.publish(teller.tenant, events)
        assert await teller.unread() == before
        assert len(before) == 2

    async def test_is_told_to_its_own_third_party_alone(self, teller: Teller):
        """Another third party's subscription brings it nothing."""
        other = UUID(int=5)
        await teller.subscribe(None, client_id=other)
        await teller.revoked()
        await teller.publish()
        assert await teller.states() == []

    async def test_is_told_as_far_as_it_is_subscribed_to(self, teller: Teller):
        """Of an authorisation nothing is said to who wants to know of revocations."""
        await teller.subscribe(None, ("UK.OBIE.Consent-Authorization-Revoked",))
        await teller.revoked()
        await teller.publish()
        (claims,) = await teller.unread()
        assert list(claims["events"]) == ["urn:uk:org:openbanking:events:consent-authorization-revoked"]

    async def test_is_seen_by_who_may_see_such_consents(self, teller: Teller):
        """A token for payments brings nothing of accounts."""
        await teller.subscribe(None)
        await teller.revoked()
        await teller.publish()
        assert await teller.unread(["payments"]) == []
        assert len(await teller.unread(["accounts"])) == 2


CLIENT = """
INSERT INTO api_clients (id, name, state, authentication, scopes, redirect_uris, post_logout_redirect_uris, grant_types,
    response_types, dpop_bound, certificate_bound, authorization_details_types, contacts, registered_by, login_realm,
    version, created_at, updated_at)
VALUES ($1, 'x', 'active', 'private_key_jwt', '{}', '{}', '{}', '{}', '{}', FALSE, FALSE, '{}', '{}', 'operator', 'psu',
    1, now(), now())
"""


class TestAThirdPartyThatIsKeptOut:
    async def test_is_told_nothing_while_its_client_is_disabled(self, teller: Teller):
        """It can't come to read what it is told of; what happens meanwhile is pushed once it is enabled."""
        async with Endpoint(TAKEN).listening() as endpoint:
            async with teller.database.tx(teller.tenant) as tx:
                await tx.execute(CLIENT, teller.client_id)
            await teller.subscribe(endpoint.url(), ("UK.OBIE.Consent-Authorization-Revoked",))
            await teller.revoked()
            for enabled in (False, True):
                async with teller.database.tx(teller.tenant) as tx:
                    await identity.set_client_state(
                        tx, wire(teller.client_id), enabled=enabled, now=await tenant_now(tx)
                    )
                await teller.publish()
                await teller.work()
                await teller.pass_time(hours=1)
                assert len(endpoint.bodies) == int(enabled)

    async def test_is_told_once_it_is_let_in_again(self, teller: Teller):
        """Nothing is pushed to it meanwhile, and nothing is lost."""
        async with Endpoint(TAKEN).listening() as endpoint:
            await teller.subscribe(endpoint.url())
            now = await teller.now()
            await teller.revoked()
            async with teller.database.tx(teller.tenant) as tx:
                assert await consent_queries.block(tx, teller.client_id, "x", "x", now)
            await teller.publish()
            await teller.work()
            await teller.pass_time(days=1)
            assert (endpoint.bodies, await teller.states()) == ([], [("unread", 0, None)] * 2)
            async with teller.database.tx(teller.tenant) as tx:
                assert await consent_queries.unblock(tx, teller.client_id)
            await teller.pass_time(hours=1)
        assert len(endpoint.bodies) == 2


class TestAnEndpointThatTakesNothing:
    async def test_is_tried_ten_times_and_left(self, teller: Teller):
        """After three days it is a dead letter, pushing is paused, the tenant told, and polling still has all."""
        async with Endpoint(answering("500 Internal Server Error")).listening() as endpoint:
            await teller.subscribe(endpoint.url())
            await teller.revoked()
            await teller.publish()
            await teller.work()
            await teller.pass_time(days=5)
        first = Counter(claims_in(body)["jti"] for body in endpoint.bodies)
        assert sorted(first.values()) == [10]
        assert await teller.states() == [("dead", 10, "500"), ("unread", 0, None)]
        assert (await teller.subscription()).paused_because == "unresponsive"
        (event,) = await events_of(teller, "event_subscription.paused")
        assert event.data["because"] == "unresponsive"
        assert "callback_url" not in event.data
        assert (await teller.unread())[0]["jti"] in first

    async def test_says_that_it_is_gone(self, teller: Teller):
        """410 pauses pushing at once."""
        async with Endpoint(answering("410 Gone")).listening() as endpoint:
            await teller.subscribe(endpoint.url())
            await teller.revoked()
            await teller.publish()
            await teller.work()
            await teller.pass_time(days=5)
        assert len(endpoint.bodies) == 1
        assert (await teller.subscription()).paused_because == "gone"
        assert len(await teller.unread()) == 2

    async def test_says_when_to_come_again(self, teller: Teller):
        """Retry-After is heeded, on the tenant's clock."""
        async with Endpoint(answering("503 Service Unavailable", "Retry-After: 7200")).listening() as endpoint:
            await teller.subscribe(endpoint.url())
            await teller.revoked()
            await teller.publish()
            await teller.work()
            await teller.pass_time(minutes=119)
            before = len(endpoint.bodies)
            await teller.pass_time(minutes=2)
        assert (before, len(endpoint.bodies)) == (1, 2)

    @pytest.mark.parametrize("status", ["200 OK", "201 Created", "302 Found", "400 Bad Request"])
    async def test_answers_something_else_than_the_standard_asks_for(self, teller: Teller, status: str):
        """Only 202 takes a notification."""
        async with Endpoint(answering(status)).listening() as endpoint:
            await teller.subscribe(endpoint.url())
            await teller.revoked()
            await teller.publish()
            await teller.work()
        assert (await teller.states())[0] == ("unread", 1, status[:3])

    async def test_says_why_it_takes_none(self, teller: Teller):
        """Staff see its code and words for as long as its last answer says so (RFC 8935, section 2.3)."""
        said = b'{"err": "invalid_issuer", "description": "not one of ours"}'
        answers = [answering("400 Bad Request", body=said), answering("503 Service Unavailable", body=said)]

        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await answers[0](reader, writer)

        async with Endpoint(behave).listening() as endpoint:
            await teller.subscribe(endpoint.url())
            await teller.revoked()
            await teller.publish()
            await teller.work()
            assert await shown(teller) == ("unread", "400", "invalid_issuer", "not one of ours")
            answers.pop(0)
            await teller.pass_time(hours=1)
            assert await shown(teller) == ("unread", "503", None, None)

    async def test_is_away_for_seventy_hours(self, teller: Teller):
        """When it is back everything comes, each once, and of each consent in order."""
        back_at = await teller.now() + timedelta(hours=70)
        taken: list[str] = []

        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if await teller.now() < back_at:
                return await answering("503 Service Unavailable")(reader, writer)
            taken.append(endpoint.bodies[-1].decode())
            return await TAKEN(reader, writer)

        async with Endpoint(behave).listening() as endpoint:
            await teller.subscribe(endpoint.url())
            for _ in range(3):
                await teller.revoked()
            await teller.publish()
            await teller.work()
            await teller.pass_time(hours=80)
        claims = [claims_in(token) for token in taken]
        assert len(claims) == 6
        assert len({each["jti"] for each in claims}) == 6
        told: defaultdict[str, list[int]] = defaultdict(list)
        for each in claims:
            told[each["sub"]].append(len(each["events"]))
        # Authorised says one thing, revoked says two.
        assert list(told.values()) == [[1, 2]] * 3
        assert await teller.unread() == []

    async def test_is_given_everything_again_when_the_third_party_asks_for_it(self, teller: Teller):
        """What wasn't given up is pushed when pushing goes on."""
        async with Endpoint(answering("410 Gone")).listening() as endpoint:
            subscription = await teller.subscribe(endpoint.url())
            await teller.revoked()
            await teller.publish()
            await teller.work()
        async with Endpoint(TAKEN).listening() as endpoint:
            async with teller.database.tx(teller.tenant) as tx:
                await tx.execute(
                    "UPDATE event_subscriptions SET callback_url = $2, paused_because = NULL WHERE id = $1",
                    subscription.id,
                    endpoint.url(),
                )
                await queries.arm(tx, teller.client_id, await tenant_now(tx))
            await teller.hasten()
            await teller.work()
        assert len(endpoint.bodies) == 2
        assert await teller.unread() == []

    @pytest.mark.parametrize("how", ["changed", "made_anew"])
    async def test_is_pushed_to_anew_though_an_attempt_was_under_way(self, teller: Teller, how: str):
        """What the last attempt from before comes to neither gives anything up nor pauses what was said since."""

        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(endpoint.bodies) > 10:
                return await TAKEN(reader, writer)
            if len(endpoint.bodies) == 10:
                await push_anew(teller, endpoint.url(), delete=how == "made_anew")
            return await answering("500 Internal Server Error")(reader, writer)

        async with Endpoint(behave).listening() as endpoint:
            await teller.subscribe(endpoint.url())
            await teller.revoked()
            await teller.publish()
            await teller.work()
            await teller.pass_time(days=5)
        assert {state for state, _, _ in await teller.states()} == {"acknowledged"}
        assert (await teller.subscription()).paused_because is None

    async def test_has_all_attempts_again_however_long_pushing_was_paused(self, teller: Teller):
        """Somebody who says after a week where to push to isn't paused for the first answer that isn't 202."""
        async with Endpoint(answering("410 Gone")).listening() as endpoint:
            await teller.subscribe(endpoint.url())
            await teller.revoked()
            await teller.publish()
            await teller.work()
        await teller.pass_time(days=7)
        answers = [answering("503 Service Unavailable")]

        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await (answers.pop() if answers else TAKEN)(reader, writer)

        async with Endpoint(behave).listening() as endpoint:
            await push_anew(teller, endpoint.url())
            await teller.work()
            await teller.pass_time(hours=1)
        assert {state for state, _, _ in await teller.states()} == {"acknowledged"}
        assert (await teller.subscription()).paused_because is None


@pytest.mark.xdist_group("kills")
class TestAKilledProcess:
    async def test_loses_nothing_between_sending_and_noting(self, teller: Teller, key_store_urls: StoreUrls):
        """Killed when the endpoint has it, before the answer: it comes again, with the same id, and then no more."""
        victims: list[ForkServerProcess] = []

        async def kill(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if victims:
                victims.pop().kill()
                return None
            return await TAKEN(reader, writer)

        async with Endpoint(kill).listening() as endpoint:
            await teller.subscribe(endpoint.url())
            await teller.bank.authorise(await teller.bank.ask(teller.client_id))
            await teller.publish()
            worker = forked(killable_pusher.run, teller.bank.tenancy.runtime_dsn, key_store_urls.own)
            victims.append(worker)
            await asyncio.to_thread(worker.join, 60)
            assert worker.exitcode == -signal.SIGKILL
            await teller.hasten()
            await teller.work()
            await teller.hasten()
            await teller.work()
        assert len(endpoint.bodies) == 2
        assert endpoint.bodies[0] == endpoint.bodies[1]
        assert await teller.states() == [("acknowledged", 1, None)]


class TestNotingWhatCameOfIt:
    async def test_takes_the_subscription_first_as_whoever_changes_it_does(self, teller: Teller):
        """While a change has the subscription, what is to be noted waits, and keeps no notification from the change."""
        held = asyncio.Event()

        async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await held.wait()
            await TAKEN(reader, writer)

        async with Endpoint(hold).listening() as endpoint:
            subscription = await teller.subscribe(endpoint.url())
            await teller.revoked()
            await teller.publish()
            await teller.runner.run(teller.tenant)
            async with asyncio.timeout(20):
                while not endpoint.open:
                    await asyncio.sleep(0.001)
                async with teller.database.tx(teller.tenant) as tx:
                    assert await queries.lock(tx, subscription.id)
                    held.set()
                    while not await tx.fetchval(WAITS_FOR_US):
                        await asyncio.sleep(0.001)
                    assert await tx.fetch("SELECT id FROM event_notifications FOR UPDATE NOWAIT")
            await teller.runner.settle()
        assert await teller.unread() == []

    async def test_waits_for_all_that_is_under_way_though_one_cannot_be_sent(self, teller: Teller):
        """The one has failed once, by a fault of ours, and is tried again; the others are sent once."""
        held = asyncio.Event()

        async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await held.wait()
            await TAKEN(reader, writer)

        async with Endpoint(hold).listening() as endpoint:
            await teller.subscribe(endpoint.url(), ("UK.OBIE.Consent-Authorization-Revoked",))
            for _ in range(2):
                await teller.revoked()
            await teller.publish()
            spoil = "UPDATE event_notifications SET token = 'none' WHERE sequence = %s"
            await teller.bank.tenancy.as_owner(teller.tenant, spoil % "(SELECT min(sequence) FROM event_notifications)")
            pushing = asyncio.create_task(teller.work())
            async with asyncio.timeout(20):
                while not endpoint.open:
                    await asyncio.sleep(0.001)
            ended, _ = await asyncio.wait({pushing}, timeout=0.1)
            held.set()
            await pushing
        assert not ended
        assert await teller.states() == [("unread", 1, "error"), ("acknowledged", 1, None)]


BACKLOG = 3_000
FILL = f"""
INSERT INTO event_notifications (
    id, client_id, event_id, sequence, scope, resource, token, occurred_at, created_at, attempts, state,
    next_attempt_at)
SELECT gen_random_uuid(), '{{}}', gen_random_uuid(), n, 'payments', 'pay_' || n % {BACKLOG - 500}, 'x', '2026-01-01Z',
    '2026-01-01Z', 0, 'unread', '2026-01-01Z'
FROM generate_series(1, {BACKLOG}) AS n
"""  # noqa: S608


class TestALongBacklog:
    async def test_costs_a_batch_no_more_than_a_short_one(self, teller: Teller):
        """What waits behind a batch isn't read, to find it nor to see when the next one is due."""
        fill = FILL.format(teller.client_id)
        await teller.bank.tenancy.as_owner(teller.tenant, fill, "ANALYZE event_notifications")
        async with teller.database.tx(teller.tenant) as tx:
            explaining = Explaining(tx, ("event_notifications",))
            now = await tenant_now(tx)
            found = await queries.due(cast("TenantTx", explaining), teller.client_id, now, 12)
            next_at = await queries.next_due_at(cast("TenantTx", explaining), teller.client_id)
        assert [each.sequence for each in found] == list(range(1, 13))
        assert next_at == found[0].created_at
        assert explaining.rows < 100

    async def test_keeps_the_order_of_a_resource_whatever_else_is_due(self, teller: Teller):
        """What comes after something that is tried again later waits for it, and for nothing of another resource."""
        async with teller.database.tx(teller.tenant) as tx:
            await tx.execute(FILL.format(teller.client_id))
            now = await tenant_now(tx)
            await tx.execute(
                "UPDATE event_notifications SET next_attempt_at = $1 WHERE sequence <= $2",
                now + timedelta(hours=1),
                BACKLOG - 502,
            )
            found = await queries.due(tx, teller.client_id, now, 12)
        assert [each.sequence for each in found] == [BACKLOG - 501, BACKLOG - 500]


class TestAPayment:
    async def test_is_told_of_when_its_status_has_changed(self, tenancy: Tenancy, tenant_keys: Keys, teller: Teller):
        """What the rail says of a payment becomes a notification of the payment."""
        desk = await Desk.open(tenancy, tenant_keys)
        teller.client_id = desk.client_id
        payment_id = await desk.pay()
        await teller.publish()
        await teller.subscribe(None, ("UK.OBIE.Resource-Update",))
        desk.rail.said = Report(reference="REF1", notices=(Notice(id="n0", word="settle"),))
        assert await desk.turn(payment_id)
        await teller.publish()
        (claims,) = await teller.unread(["payments"])
        wire_id = ids.encode(Prefix.PAYMENT, payment_id)
        assert claims["sub"].partition("/v4.0/")[2] == f"pisp/domestic-payments/{wire_id}"


class TestAWallet:
    async def test_is_told_of_when_it_is_closed_to_who_reads_it_by_a_consent(self, teller: Teller):
        """The third party learns which of its consents has lost an account; others learn nothing."""
        bank = teller.bank
        consent = await bank.authorise(await bank.ask(teller.client_id))
        await bank.authorise(await bank.ask(UUID(int=5)))
        await teller.publish()
        await teller.subscribe(None)
        await changed(teller, "wallet.closed")
        (claims,) = await teller.unread()
        ((name, said),) = claims["events"].items()
        assert name.endswith("account-access-consent-linked-account-update")
        assert said["subject"]["http://openbanking.org.uk/rid"] == consent.wire_id

    async def test_is_told_of_when_it_is_frozen_and_closed_to_who_is_paid_from_it(self, teller: Teller):
        """Of both, where the consent stands; of neither, where it was refused or ended, or another wallet is meant."""
        bank = teller.bank
        vrp = {"kind": "domestic_vrp", "request": b"{}"}
        consent = await bank.authorise(await bank.ask(teller.client_id, **vrp))
        await bank.ask(teller.client_id, **vrp)
        await bank.revoke(await bank.authorise(await bank.ask(teller.client_id, **vrp)))
        reading = await bank.authorise(await bank.ask(teller.client_id))
        await teller.publish()
        await teller.subscribe(None, tuple(f"{URN}{each}-consent-linked-account-update" for each in LINKED))
        await changed(teller, "wallet.frozen")
        ((name, said),) = [each for claims in await teller.unread() for each in claims["events"].items()]
        assert name == f"{URN}domestic-vrp-consent-linked-account-update"
        assert "reason" not in said
        assert said["subject"]["http://openbanking.org.uk/rid"] == consent.wire_id
        await changed(teller, "wallet.closed")
        found = [
            (said["subject"]["http://openbanking.org.uk/rid"], said.get("reason"))
            for claims in await teller.unread()
            for said in claims["events"].values()
        ]
        closed = "UK.OBIE.AccountClosure"
        assert sorted(found[1:]) == sorted([(consent.wire_id, closed), (reading.wire_id, closed)])
        assert len(await teller.unread(["payments"])) == 2


async def changed(teller: Teller, type_: str) -> None:
    """Let the stream say something of the first of the customer's wallets, and of another one, and tell of it."""
    data = {"party_id": ids.encode(Prefix.PARTY, teller.bank.owner.party_id)}
    async with teller.database.tx(teller.tenant) as tx:
        own = NewEvent(
            id=ids.uuid7(),
            type=type_,
            object_id=ids.encode(Prefix.WALLET, teller.bank.wallet_ids[0]),
            data=msgspec.json.encode(data),
            occurred_at=await tenant_now(tx),
        )
        await emit(tx, own, msgspec.structs.replace(own, id=ids.uuid7(), object_id=ids.new(Prefix.WALLET)))
    await teller.publish()
