"""Events on their way to endpoints that take them, or don't."""

import asyncio
import json
import signal
from collections import Counter
from datetime import timedelta
from multiprocessing.context import ForkServerProcess
from typing import cast

import pytest

from billfold import errors, ids, webhooks
from billfold.contract.sandbox import SimulationKind
from billfold.contract.webhooks import WebhookEndpointReason, WebhookEndpointState, WebhookSecret
from billfold.ids import Prefix
from billfold_server.db.outbox import list_events
from billfold_server.outbound import sending
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.webhooks import delivery_queries, endpoints
from tests.callers import CALLER
from tests.explaining import Explaining
from tests.forks import forked
from tests.keystores import StoreUrls
from tests.server.outbound.endpoints import Behaviour, Endpoint, answering
from tests.server.webhooks import killable_sender
from tests.server.webhooks.sending import Sender
from tests.tenants import Tenancy

TAKEN = answering("204 No Content")


def held_up(by: asyncio.Event) -> Behaviour:
    """Take what comes once something has happened."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await by.wait()
        await TAKEN(reader, writer)

    return behave


def told(endpoint: Endpoint) -> list[str]:
    """Return the ids of the events that an endpoint was sent, in order."""
    return [json.loads(body)["id"] for body in endpoint.bodies]


class TestASimulation:
    async def test_lets_deliveries_set_out_late(self, sender: Sender):
        """So many wait for so long by the tenant's clock, and the next one doesn't."""
        async with Endpoint(TAKEN).listening() as endpoint:
            await sender.listen(endpoint.url())
            await sender.play(SimulationKind.WEBHOOK_DELAY, {"delay_s": 600})
            await sender.happen("hold.late")
            await sender.happen("hold.next")
            await sender.work()
            first = [json.loads(body)["type"] for body in endpoint.bodies]
            await sender.pass_time(minutes=9)
            nearly = len(endpoint.bodies)
            await sender.pass_time(minutes=2)
        assert (first, nearly) == (["hold.next"], 1)
        assert [json.loads(body)["type"] for body in endpoint.bodies] == ["hold.next", "hold.late"]

    async def test_delays_what_happens_after_it(self, sender: Sender):
        """What had happened by then isn't late, however late it is told of, and the first to happen is."""
        async with Endpoint(TAKEN).listening() as first, Endpoint(TAKEN).listening() as second:
            for each in (first, second):
                await sender.listen(each.url())
            await sender.happen("hold.before", told=False)
            await sender.play(SimulationKind.WEBHOOK_DELAY, {"delay_s": 600}, times=2)
            await sender.happen("hold.late", "hold.next")
            await sender.work()
        for each in (first, second):
            assert [json.loads(body)["type"] for body in each.bodies] == ["hold.before", "hold.next"]

    async def test_lets_deliveries_arrive_twice(self, sender: Sender):
        """Both have one id and verify, both are in the log, and the next event arrives once."""
        async with Endpoint(TAKEN).listening() as endpoint:
            made = await sender.listen(endpoint.url())
            await sender.play(SimulationKind.WEBHOOK_DUPLICATE, {"copies": 3})
            await sender.happen("hold.created")
            await sender.work()
            await sender.happen("hold.captured")
            await sender.work()
        a, again, third, b = told(endpoint)
        assert (a, a, a != b) == (again, third, True)
        first, last = await sender.sent(made.id)
        assert [(await sender.record(each.id)).state.value for each in (first, last)] == ["delivered"] * 2
        attempts = (await sender.record(first.id)).last_attempts
        assert [each.result for each in attempts] == ["204"] * 3
        assert (await sender.record(first.id)).attempts == 1

    async def test_lets_the_first_to_happen_arrive_twice_at_the_first_that_is_told(self, sender: Sender):
        """So it is the same one whichever endpoint's job comes first; asked for again, it arrives once."""
        async with Endpoint(TAKEN).listening() as first, Endpoint(TAKEN).listening() as second:
            made, _ = [await sender.listen(each.url()) for each in (first, second)]
            await sender.happen("hold.before", told=False)
            await sender.play(SimulationKind.WEBHOOK_DUPLICATE, {"copies": 2})
            await sender.happen("hold.created")
            await sender.work()
            arrived = [[json.loads(body)["type"] for body in each.bodies] for each in (first, second)]
            assert arrived == [["hold.before", "hold.created", "hold.created"], ["hold.before", "hold.created"]]
            assert (await sender.replay_events(made.id, after=0)).replayed == 2
            await sender.work()
        assert len(first.bodies) == 5


class TestAnEvent:
    async def test_is_delivered_to_who_wants_it_and_shown_with_what_was_said(self, sender: Sender):
        """Filters hold, the body is the event as the stream has it, and the log has request and answer."""
        async with Endpoint(answering("200 OK", "X-Seen: yes", body=b"thanks\0\xff")).listening() as endpoint:
            first = await sender.listen(endpoint.url("/first"), "hold.*")
            await sender.listen(endpoint.url("/second"), "hold.captured")
            await sender.listen(endpoint.url("/third"), "wallet.*", "hold.released")
            await sender.happen("hold.created", "hold.captured")
            await sender.work()
        async with sender.database.tx(sender.tenant) as tx:
            a, b = await list_events(tx, event_types=["hold.created", "hold.captured"])
        paths = Counter(head.split()[1] for head in endpoint.heads)
        assert paths == {"/first": 2, "/second": 1}
        assert sorted(told(endpoint)) == [a.id, b.id, b.id]
        row = (await sender.sent(first.id))[0]
        record = await sender.record(row.id)
        (attempt,) = record.last_attempts
        assert (record.event, record.state.value, record.attempts, attempt.result) == (a, "delivered", 1, "200")
        assert attempt.request.headers["webhook-id"] == a.id
        assert attempt.response is not None
        assert (attempt.response.headers["x-seen"], attempt.response.body) == ("yes", "thanks\0\ufffd")
        assert (await sender.endpoint(first.id)).taken_at is not None

    async def test_is_believed_by_whom_no_answer_of_a_rotation_has_reached(self, sender: Sender):
        """Asked for once more, it leaves the receiver the secret that it has, for as long as the first one said."""
        async with Endpoint(TAKEN).listening() as endpoint:
            made = await sender.listen(endpoint.url())
            for _ in range(2):
                await endpoints.rotate(sender.call(), ids.decode(Prefix.WEBHOOK_ENDPOINT, made.id), 600)
            await sender.happen("hold.created")
            await sender.work()
        head = dict(line.split(": ", 1) for line in endpoint.heads[0].split("\r\n") if ": " in line)
        assert webhooks.verify(endpoint.bodies[0], head, made.secret).id == told(endpoint)[0]

    async def test_is_delivered_once_however_often_the_stream_is_read(self, sender: Sender):
        """Nor is an endpoint told of what happened before it was registered."""
        await sender.happen("hold.before")
        async with Endpoint(TAKEN).listening() as endpoint:
            await sender.listen(endpoint.url())
            await sender.happen("hold.created")
            async with sender.database.tx(sender.tenant) as tx:
                events = await list_events(tx)
            await sender.publisher.publish(sender.tenant, events)
            await sender.work()
            await sender.publisher.publish(sender.tenant, events)
            await sender.work()
        assert [json.loads(body)["type"] for body in endpoint.bodies] == ["hold.created"]

    async def test_of_one_object_comes_in_order(self, sender: Sender):
        """What happened to one object is sent one after the other, beside what happened to others."""
        async with Endpoint(TAKEN).listening() as endpoint:
            await sender.listen(endpoint.url())
            for number in range(15):
                await sender.happen(f"hold.n{number}", of=f"wal_{number % 2}")
            await sender.work()
        told_of = [(said["object_id"], said["sequence"]) for said in map(json.loads, endpoint.bodies)]
        assert len(told_of) == 15
        for wallet in ("wal_0", "wal_1"):
            places = [sequence for object_id, sequence in told_of if object_id == wallet]
            assert places == sorted(places)


class TestAnEndpoint:
    async def test_that_is_away_for_seventy_hours_is_told_everything_once(self, sender: Sender):
        """When it is back all comes, each once, and it was never paused."""
        back_at = await sender.now() + timedelta(hours=70)
        taken: list[str] = []

        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if await sender.now() < back_at:
                return await answering("500 Internal Server Error")(reader, writer)
            taken.append(told(endpoint)[-1])
            return await TAKEN(reader, writer)

        async with Endpoint(behave).listening() as endpoint:
            made = await sender.listen(endpoint.url())
            await sender.happen("hold.created", "hold.captured")
            await sender.pass_time(hours=30)
            await sender.happen("hold.released")
            await sender.pass_time(hours=50)
        assert len(taken) == len(set(taken)) == 3
        assert {state for state, _, _ in await sender.states()} == {"delivered"}
        assert (await sender.endpoint(made.id)).state is WebhookEndpointState.ENABLED

    async def test_that_takes_nothing_is_tried_ten_times_and_paused(self, sender: Sender):
        """After three days there is a dead letter, the tenant is told, and what follows is kept until it is enabled."""
        async with Endpoint(answering("302 Found", "Location: http://127.0.0.1/")).listening() as endpoint:
            made = await sender.listen(endpoint.url())
            await sender.happen("hold.created")
            await sender.pass_time(days=5)
            assert len(set(told(endpoint))) == 1
            assert len(endpoint.bodies) == 10
            await sender.happen("hold.captured")
            await sender.pass_time(days=1)
            assert len(endpoint.bodies) == 10
        assert await sender.states() == [("dead", 10, "302"), ("waiting", 0, None)]
        row = await sender.endpoint(made.id)
        assert (row.state, row.state_reason) == (WebhookEndpointState.PAUSED, WebhookEndpointReason.UNRESPONSIVE)
        async with sender.database.tx(sender.tenant) as tx:
            (event,) = await list_events(tx, event_type="webhook_endpoint.paused")
        assert (event.object_id, event.data["state_reason"]) == (made.id, "unresponsive")
        assert "127.0.0.1" not in str(event.data)
        async with Endpoint(TAKEN).listening() as endpoint:
            await sender.change(made.id, url=endpoint.url(), state=WebhookEndpointState.ENABLED)
            await sender.work()
        assert await sender.states() == [("dead", 10, "302"), ("delivered", 1, "204")]

    async def test_that_says_that_it_is_gone_is_disabled(self, sender: Sender):
        """410 ends it at once, and what happens meanwhile isn't kept for it."""
        async with Endpoint(answering("410 Gone")).listening() as endpoint:
            made = await sender.listen(endpoint.url())
            await sender.happen("hold.created")
            await sender.work()
            await sender.happen("hold.captured")
            await sender.pass_time(days=1)
        row = await sender.endpoint(made.id)
        assert (row.state, row.state_reason) == (WebhookEndpointState.DISABLED, WebhookEndpointReason.GONE)
        assert (len(endpoint.bodies), await sender.states()) == (1, [("waiting", 1, "410")])

    async def test_that_says_when_to_come_again_is_left_alone_until_then(self, sender: Sender):
        """Retry-After is heeded, on the tenant's clock."""
        async with Endpoint(answering("503 Service Unavailable", "Retry-After: 7200")).listening() as endpoint:
            await sender.listen(endpoint.url())
            await sender.happen("hold.created")
            await sender.pass_time(minutes=119)
            before = len(endpoint.bodies)
            await sender.pass_time(minutes=2)
        assert (before, len(endpoint.bodies)) == (1, 2)

    async def test_that_is_deleted_is_told_nothing_more(self, sender: Sender):
        """What waited is cancelled, and stays in the log until retention takes it with its attempts."""
        async with Endpoint(answering("500 Internal Server Error")).listening() as endpoint:
            made = await sender.listen(endpoint.url())
            await sender.happen("hold.created")
            await sender.work()
            later = await sender.now() + timedelta(days=1)
            async with sender.database.tx(sender.tenant) as tx:
                assert await delivery_queries.sweep(tx, later, 100) == 0
            await sender.delete(made.id)
            await sender.pass_time(hours=1)
        assert (len(endpoint.bodies), await sender.states()) == (1, [("cancelled", 1, "500")])
        async with sender.database.tx(sender.tenant) as tx:
            assert await delivery_queries.sweep(tx, later, 100) == 1
            assert await tx.fetchval("SELECT count(*) FROM webhook_attempts") == 0

    @pytest.mark.parametrize("change", ["deleted", "paused", "moved", "given another secret"])
    async def test_that_changes_is_told_nothing_more_of_a_batch_as_it_was(
        self, sender: Sender, monkeypatch: pytest.MonkeyPatch, change: str
    ):
        """However slow it is, what is still to be sent goes where it says by then, signed by what it has then."""
        monkeypatch.setattr(sending, "_LOOK_S", 0.0)

        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            match change if len(endpoint.bodies) == 1 else None:
                case "deleted":
                    await sender.delete(made.id)
                case "paused":
                    await sender.change(made.id, state=WebhookEndpointState.PAUSED)
                case "moved":
                    await sender.change(made.id, url=elsewhere.url())
                case "given another secret":
                    secrets.append(await endpoints.rotate(sender.call(), endpoint_id, 0))
            await TAKEN(reader, writer)

        secrets: list[WebhookSecret] = []
        async with Endpoint(behave).listening() as endpoint, Endpoint(TAKEN).listening() as elsewhere:
            made = await sender.listen(endpoint.url())
            endpoint_id = ids.decode(Prefix.WEBHOOK_ENDPOINT, made.id)
            await sender.happen("hold.created", "hold.captured", "hold.released")
            await sender.work()
        same = 3 if secrets else 1
        assert (len(endpoint.bodies), len(elsewhere.bodies)) == (same, 2 if change == "moved" else 0)
        for each in secrets:
            head = dict(line.split(": ", 1) for line in endpoint.heads[1].split("\r\n") if ": " in line)
            assert webhooks.verify(endpoint.bodies[1], head, each.secret).id == told(endpoint)[1]
        left = {"deleted": ["cancelled"] * 3, "paused": ["delivered", "waiting", "waiting"]}
        assert [state for state, _, _ in await sender.states()] == left.get(change, ["delivered"] * 3)

    async def test_that_is_paused_and_enabled_is_told_at_once_of_what_failed_before(self, sender: Sender):
        """Whoever is back before the next attempt, which may be a day away, need not wait for it."""
        answers = [answering("503 Service Unavailable", "Retry-After: 86400")]

        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await (answers.pop() if answers else TAKEN)(reader, writer)

        async with Endpoint(behave).listening() as endpoint:
            made = await sender.listen(endpoint.url())
            await sender.happen("hold.created")
            await sender.work()
            for state in (WebhookEndpointState.PAUSED, WebhookEndpointState.ENABLED):
                await sender.change(made.id, state=state)
            await sender.work()
        assert (len(endpoint.bodies), await sender.states()) == (2, [("delivered", 1, "204")])

    async def test_that_moves_is_told_there_at_once_of_what_failed_before(self, sender: Sender):
        """Who has put a wrong address right doesn't wait for the next attempt, which may be a day away."""
        async with Endpoint(answering("404 Not Found")).listening() as wrong, Endpoint(TAKEN).listening() as right:
            made = await sender.listen(wrong.url())
            await sender.happen("hold.created")
            await sender.pass_time(hours=12)
            await sender.change(made.id, url=right.url())
            await sender.work()
        assert (len(right.bodies), await sender.states()) == (1, [("delivered", 1, "204")])


class TestAskedForAgain:
    async def test_an_event_comes_with_the_same_id_and_a_signature_of_now(self, sender: Sender):
        """One that was given up is told again, with all its attempts, signed by whatever signs now."""
        async with Endpoint(answering("410 Gone")).listening() as endpoint:
            made = await sender.listen(endpoint.url())
            await sender.happen("hold.created")
            await sender.work()
        (row,) = await sender.sent()
        await sender.replay(row.id)
        assert (await sender.sent())[0].next_attempt_at is None
        async with Endpoint(TAKEN).listening() as endpoint:
            await sender.change(made.id, url=endpoint.url(), state=WebhookEndpointState.ENABLED)
            await sender.work()
            await sender.replay(row.id)
            await sender.work()
        assert (len(endpoint.bodies), len(set(endpoint.bodies))) == (2, 1)
        head = dict(line.split(": ", 1) for line in endpoint.heads[1].split("\r\n") if ": " in line)
        assert webhooks.verify(endpoint.bodies[1], head, made.secret).id == told(endpoint)[0]
        assert await sender.states() == [("delivered", 1, "204")]
        await sender.delete(made.id)
        with pytest.raises(errors.WebhookEndpointDeleted):
            await sender.replay(row.id)

    @pytest.mark.parametrize("how", ["replayed", "enabled"])
    async def test_an_event_has_all_its_attempts_though_one_was_under_way(self, sender: Sender, how: str):
        """What the last attempt from before comes to neither gives it up nor stops the endpoint."""

        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(endpoint.bodies) > 10:
                return await TAKEN(reader, writer)
            if len(endpoint.bodies) == 10:
                if how == "replayed":
                    await sender.replay((await sender.sent())[0].id)
                else:
                    await sender.change(made.id, state=WebhookEndpointState.PAUSED)
                    await sender.change(made.id, state=WebhookEndpointState.ENABLED)
            return await answering("500 Internal Server Error")(reader, writer)

        async with Endpoint(behave).listening() as endpoint:
            made = await sender.listen(endpoint.url())
            await sender.happen("hold.created")
            await sender.pass_time(days=5)
        assert await sender.states() == [("delivered", 1, "204")]
        assert (await sender.endpoint(made.id)).state is WebhookEndpointState.ENABLED

    async def test_a_range_of_events_comes_as_far_as_it_is_wanted(self, sender: Sender):
        """Also what is older than the endpoint, and nothing beyond the range."""
        await sender.happen("hold.created", "other.a", "hold.captured", "hold.released")
        async with Endpoint(TAKEN).listening() as endpoint:
            made = await sender.listen(endpoint.url(), "hold.*")
            await sender.happen("hold.expired")
            await sender.work()
            async with sender.database.tx(sender.tenant) as tx:
                a, _, b, _, *_ = await list_events(tx)
            done = await sender.replay_events(made.id, after=a.sequence, up_to=b.sequence)
            assert (done.replayed, done.next_after) == (1, None)
            await sender.work()
            assert (await sender.replay_events(made.id, after=0)).replayed == 4
            await sender.work()
        kinds = [json.loads(body)["type"] for body in endpoint.bodies]
        assert kinds == [
            "hold.expired",
            "hold.captured",
            "hold.created",
            "hold.captured",
            "hold.released",
            "hold.expired",
        ]
        assert len(await sender.sent()) == 4

    async def test_a_range_holds_no_test_of_another_endpoint(self, sender: Sender):
        """Who asks for everything again is told of its own tests, as it was the first time."""
        async with Endpoint(TAKEN).listening() as endpoint:
            made = [await sender.listen(endpoint.url(path), "*") for path in ("/one", "/other")]
            for each in made:
                async with sender.database.tx(sender.tenant) as tx:
                    await endpoints.test(tx, CALLER, ids.decode(Prefix.WEBHOOK_ENDPOINT, each.id))
            await sender.replay_events(made[0].id, after=0)
            await sender.work()
        events = [json.loads(body) for body in endpoint.bodies]
        assert [each["object_id"] for each in events if each["type"] == "webhook_endpoint.tested"] == [made[0].id]


class TestASlowEndpoint:
    async def test_delays_no_other_one(self, sender: Sender):
        """While two say nothing, each at places of its own, another one has everything, and the visit has ended."""
        free = asyncio.Event()
        slow = Endpoint(held_up(free))
        async with slow.listening(), Endpoint(TAKEN).listening() as quick:
            made = await sender.listen(slow.url())
            await sender.listen(slow.url())
            await sender.listen(quick.url())
            for number in range(12):
                await sender.happen("hold.created", of=f"wal_{number}")
            async with asyncio.timeout(30):
                await sender.runner.run(sender.tenant)
                while len(quick.bodies) < 12 or slow.open < 8:
                    await asyncio.sleep(0.001)
            assert {state for state, _, _ in await sender.states(made.id)} == {"waiting"}
            free.set()
            await sender.runner.settle()
            await sender.work()
        assert [state for state, _, _ in await sender.states(made.id)] == ["delivered"] * 12
        assert slow.most == 8

    async def test_that_moves_does_not_wait_for_as_long_as_the_former_address_has_said(self, sender: Sender):
        """What was on its way there when it moved says nothing of the new one, though it was the first attempt."""

        async def busy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await sender.change(made.id, url=right.url())
            await answering("503 Service Unavailable", "Retry-After: 86400")(reader, writer)

        async with Endpoint(busy).listening() as wrong, Endpoint(TAKEN).listening() as right:
            made = await sender.listen(wrong.url())
            await sender.happen("hold.created")
            await sender.work()
        assert (len(wrong.bodies), len(right.bodies)) == (1, 1)
        assert await sender.states() == [("delivered", 1, "204")]

    async def test_whose_turn_is_over_goes_on_behind_those_who_wait(
        self, sender: Sender, monkeypatch: pytest.MonkeyPatch
    ):
        """However old what waits for it is: else many that are slow kept all places, and others never had one."""
        monkeypatch.setattr(sending, "_SENDS_S", -1.0)
        async with Endpoint(TAKEN).listening() as endpoint:
            await sender.listen(endpoint.url())
            await sender.happen("hold.created")
            began_at = await sender.now()
            await sender.work()
            assert endpoint.bodies == []
        async with sender.database.tx(sender.tenant) as tx:
            assert await tx.fetchval("SELECT min(due_at) FROM jobs") >= began_at

    async def test_is_told_the_rest_of_a_batch_at_its_next_turn(self, sender: Sender, monkeypatch: pytest.MonkeyPatch):
        """What it has taken is noted by then: a batch of which each takes long is longer than a run may be."""
        monkeypatch.setattr(sending, "_SENDS_S", 0.5)

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(0.6)
            await TAKEN(reader, writer)

        async with Endpoint(slow).listening() as endpoint:
            await sender.listen(endpoint.url())
            await sender.happen("hold.created", "hold.captured")
            await sender.work()
            assert await sender.states() == [("delivered", 1, "204"), ("waiting", 0, None)]
            await sender.work()
        assert [state for state, _, _ in await sender.states()] == ["delivered"] * 2
        assert len(set(told(endpoint))) == len(endpoint.bodies) == 2


@pytest.mark.xdist_group("kills")
class TestAKilledProcess:
    async def test_loses_nothing_between_sending_and_noting(
        self, sender: Sender, tenancy: Tenancy, key_store_urls: StoreUrls
    ):
        """Killed when the endpoint has it, before the answer: it comes again with the same id, and then no more."""
        victims: list[ForkServerProcess] = []

        async def kill(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if victims:
                victims.pop().kill()
                return None
            return await TAKEN(reader, writer)

        async with Endpoint(kill).listening() as endpoint:
            await sender.listen(endpoint.url())
            await sender.happen("hold.created")
            worker = forked(killable_sender.run, tenancy.runtime_dsn, key_store_urls.own)
            victims.append(worker)
            await asyncio.to_thread(worker.join, 60)
            assert worker.exitcode == -signal.SIGKILL
            async with sender.database.tx(sender.tenant) as tx:
                await tx.execute("UPDATE jobs SET claimed_by = NULL, claimed_until = NULL")
            await sender.work()
            await sender.work()
        assert len(endpoint.bodies) == 2
        assert endpoint.bodies[0] == endpoint.bodies[1]
        assert await sender.states() == [("delivered", 1, "204")]


FILL = """
INSERT INTO webhook_deliveries (
    id, endpoint_id, event_id, sequence, event_type, state, attempts, begun_at, created_at)
SELECT gen_random_uuid(), '00000000-0000-0000-0000-000000000001', gen_random_uuid(), n, 'hold.placed',
    CASE WHEN n % 1000 = 0 THEN 'dead' ELSE 'delivered' END, 1, '2026-01-01Z', '2026-01-01Z'
FROM generate_series(1, 5000) AS n
"""


class TestALongHistory:
    async def test_of_deliveries_isnt_read_for_those_that_failed(self, tenancy: Tenancy):
        """A few dead ones are found, however many others there are."""
        await tenancy.as_owner(tenancy.tenant, FILL, "ANALYZE webhook_deliveries")
        async with tenancy.database.tx(tenancy.tenant) as tx:
            explaining = Explaining(tx, ("webhook_deliveries",))
            found = await delivery_queries.list_page(cast("TenantTx", explaining), limit=100, state="dead")
        assert len(found) == 5
        assert explaining.rows < 50
