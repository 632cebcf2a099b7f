"""Events in JetStream: each once and in order, whoever dies and whatever is away."""

import asyncio
import ipaddress
import secrets
import shutil
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
import structlog
from cryptography import x509

from billfold.clock import SystemClock
from billfold.contract.platform import Event
from billfold_server.app import build_app
from billfold_server.db import relay as relaying
from billfold_server.db.outbox import emit, list_events
from billfold_server.db.relay import Relay
from billfold_server.http.metrics import Metrics
from billfold_server.nats_settings import NatsSettings
from billfold_server.settings import Settings
from billfold_server.streams import service
from billfold_server.streams.service import NatsPublisher
from tests.live import LiveServer
from tests.ports import held
from tests.server.certificates import SERVER, authority, issue
from tests.server.db.test_outbox import event
from tests.server.streams.conftest import Nats
from tests.tenants import Tenancy

REPOSITORY = Path(__file__).parents[3]
NO_LEASE = "UPDATE publisher_cursors SET claimed_by = NULL, claimed_until = NULL, retry_at = NULL"


class Stream:
    """A stream of one test's own, and what publishes to it.

    Args:
        nats: The server.
        reading: How a reader connects.
        given: Further settings.
    """

    def __init__(self, nats: Nats, reading: dict[str, Any] | None = None, **given: Any) -> None:
        self.nats = nats
        self.name = f"T{secrets.token_hex(6)}"
        self.settings = NatsSettings(nats_url=nats.url, nats_stream=self.name, nats_subject=self.name, **given)
        self.metrics = Metrics()
        self.publisher = NatsPublisher(self.settings, self.metrics, SystemClock())
        self._reading = reading or {}

    def relay(self, tenancy: Tenancy, batch: int = 3) -> Relay:
        """Return a relay that gives the publisher few events at a time."""
        return Relay(tenancy.database, [self.publisher], publish_batch=batch)

    async def client(self) -> Any:
        """Return a connection of a reader's."""
        nats = pytest.importorskip("nats")
        return await nats.connect(self.nats.url, allow_reconnect=False, connect_timeout=60, **self._reading)

    async def messages(self) -> list[tuple[str, str, Event]]:
        """Return what is in the stream: subject, id and event, in order."""
        client = await self.client()
        try:
            stream = client.jetstream(timeout=60)
            info = await stream.stream_info(self.name)
            found = [await stream.get_msg(self.name, number + 1) for number in range(info.state.last_seq)]
            return [
                (each.subject, each.headers["Nats-Msg-Id"], msgspec.json.decode(each.data, type=Event))
                for each in found
                if not each.subject.endswith(".probe")
            ]
        finally:
            await client.close()

    async def headers(self) -> list[dict[str, str]]:
        """Return what is said beside each message."""
        client = await self.client()
        try:
            stream = client.jetstream(timeout=60)
            info = await stream.stream_info(self.name)
            return [
                dict((await stream.get_msg(self.name, number + 1)).headers) for number in range(info.state.last_seq)
            ]
        finally:
            await client.close()

    async def forget_ids(self) -> None:
        """Wait until the stream knows none of the ids that it has taken so far."""
        client = await self.client()
        try:
            stream = client.jetstream(timeout=60)

            async def taken_twice() -> bool:
                ack = await stream.publish(f"{self.name}.probe", b"", headers={"Nats-Msg-Id": "probe"})
                return bool(ack.duplicate)

            await taken_twice()
            async with asyncio.timeout(60):
                while await taken_twice():
                    await asyncio.sleep(0.02)
        finally:
            await client.close()


class Guarded(Nats):
    """A NATS server with TLS, certificates of clients and a password, which takes 2,000 bytes at once."""

    password = "fourteen grey geese"

    def __init__(self, folder: Path, port: int) -> None:
        issuer = authority()
        (folder / "ca.pem").write_bytes(issuer.pem())
        here = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        certificate, key = issue("nats", issuer, purposes=(SERVER,), names=here).write(folder, "server")
        own_certificate, own_key = issue("billfold", issuer).write(folder)
        self.password_file = folder / "password"
        self.password_file.write_text(self.password + "\n", encoding="utf-8")
        self.given = {
            "nats_user": "billfold",
            "nats_password_file": str(self.password_file),
            "nats_ca_file": str(folder / "ca.pem"),
            "nats_client_certificate": own_certificate,
            "nats_client_key": own_key,
        }
        tls = f'tls {{ cert_file: "{certificate}", key_file: "{key}", ca_file: "{folder}/ca.pem", verify: true }}'
        users = f'authorization {{ user: billfold, password: "{self.password}" }}'
        super().__init__(folder, port, f"max_payload: 2000\n{users}\n{tls}\n")

    def stream(self, **given: Any) -> Stream:
        """Return a stream of a test's own."""
        context = ssl.create_default_context(cafile=self.given["nats_ca_file"])
        context.load_cert_chain(self.given["nats_client_certificate"], self.given["nats_client_key"])
        reading = {"user": "billfold", "password": self.password, "tls": context}
        return Stream(self, reading, **{**self.given, **given})


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for NATS for longer than the product does: a server that stands still for a while isn't away."""
    monkeypatch.setattr(service, "_CONNECT_S", 15.0)
    monkeypatch.setattr(service, "_ANSWER_S", 30.0)
    monkeypatch.setattr(relaying, "PUBLISH_TIMEOUT_S", 90.0)


@pytest.fixture
async def stream(nats: Nats) -> AsyncIterator[Stream]:
    """Return a stream of the test's own."""
    made = Stream(nats)
    yield made
    await made.publisher.aclose()


async def emitted(tenancy: Tenancy, *numbers: int) -> None:
    """Emit an event for each number."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        await emit(tx, *(event(number) for number in numbers))


async def in_outbox(tenancy: Tenancy) -> list[Event]:
    """Return every event, as a reader of the API finds it."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        return await list_events(tx, limit=1000)


async def place_of(tenancy: Tenancy) -> int:
    """Return how far the publisher has come."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        return int(await tx.fetchval("SELECT sequence FROM publisher_cursors WHERE publisher = 'nats'"))


async def told(tenancy: Tenancy, relay: Relay, place: int) -> None:
    """Let a relay tell of events, however often it takes, until the publisher has come so far."""
    async with asyncio.timeout(60):
        await relay.run(tenancy.tenant)
        while await place_of(tenancy) < place:
            await tenancy.as_owner(tenancy.tenant, NO_LEASE)
            await relay.run(tenancy.tenant)
            await asyncio.sleep(0.05)


class TestAnEvent:
    async def test_is_in_the_stream_as_the_api_shows_it(self, tenancy: Tenancy, stream: Stream):
        """Each is there once and in order, below its tenant and type, by its own id."""
        await emitted(tenancy, *range(7))
        assert await stream.relay(tenancy).run(tenancy.tenant) is None
        subject = f"{stream.name}.{tenancy.tenant.slug}.thing.changed"
        assert await stream.messages() == [(subject, each.id, each) for each in await in_outbox(tenancy)]
        exposed = stream.metrics.exposition()
        assert b'billfold_stream_events_total{outcome="published"} 7.0' in exposed
        assert b"billfold_stream_lag_seconds_count 7.0" in exposed
        assert b"billfold_stream_behind_seconds 0.0\n" in exposed

    async def test_is_there_once_however_often_it_is_published(self, tenancy: Tenancy, stream: Stream):
        """Where a place was lost, all is published again and nothing is there twice."""
        await emitted(tenancy, *range(7))
        await stream.relay(tenancy).run(tenancy.tenant)
        await tenancy.as_owner(tenancy.tenant, "UPDATE publisher_cursors SET sequence = 0")
        assert await stream.relay(tenancy).run(tenancy.tenant) is None
        assert [each.sequence for _, _, each in await stream.messages()] == list(range(1, 8))
        assert b'billfold_stream_events_total{outcome="duplicate"}' in stream.metrics.exposition()

    async def test_is_neither_lost_nor_doubled_by_a_kill(self, tenancy: Tenancy, stream: Stream):
        """Whoever takes over when the stream knows no ids any more publishes what comes behind its last message."""
        client = await stream.client()
        await client.jetstream(timeout=60).add_stream(
            name=stream.name, subjects=[f"{stream.name}.>"], duplicate_window=0.1
        )
        await client.close()
        await emitted(tenancy, *range(5))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.server.streams.killable_publisher"),
            *(tenancy.runtime_dsn, stream.nats.url, stream.name),
            cwd=REPOSITORY,
            env={"PYTHONPATH": "sdk:server:."},
        )
        assert await process.wait() == -signal.SIGKILL
        assert (len(await stream.messages()), await place_of(tenancy)) == (3, 0)
        await stream.forget_ids()
        await emitted(tenancy, 5)
        await tenancy.as_owner(tenancy.tenant, NO_LEASE)
        assert await stream.relay(tenancy).run(tenancy.tenant) is None
        assert [each.sequence for _, _, each in await stream.messages()] == [1, 2, 3, 4, 5, 6]
        assert await place_of(tenancy) == 6


class TestSeveralWorkers:
    async def test_do_not_tell_of_events_that_another_has_published(self, tenancy: Tenancy, stream: Stream):
        """Whoever has failed hears at the next look that all is published, and is behind no longer."""
        relay, other = stream.relay(tenancy), NatsPublisher(stream.settings, Metrics(), SystemClock())
        await emitted(tenancy, 0)
        stream.nats.stop()
        try:
            assert await relay.run(tenancy.tenant) == 1.0
        finally:
            stream.nats.start()
        assert b"billfold_stream_behind_seconds 0.0\n" not in stream.metrics.exposition()
        await told(tenancy, Relay(tenancy.database, [other]), 1)
        await other.aclose()
        assert await relay.run(tenancy.tenant) is None
        assert stream.publisher.warnings() == []
        exposed = stream.metrics.exposition()
        assert b"billfold_stream_behind_seconds 0.0\n" in exposed
        assert b"billfold_stream_reachable 1.0" in exposed

    async def test_do_not_alarm_about_a_tenant_that_is_gone(self, tenancy: Tenancy, stream: Stream):
        """What it has left is nobody's, and isn't older from day to day."""
        relay = stream.relay(tenancy)
        await emitted(tenancy, 0)
        stream.nats.stop()
        try:
            await relay.run(tenancy.tenant)
        finally:
            stream.nats.start()
        assert stream.publisher.warnings() != []
        relay.leave(tenancy.tenant.id)
        assert stream.publisher.warnings() == []
        assert b"billfold_stream_behind_seconds 0.0\n" in stream.metrics.exposition()


class TestAServerThatIsAway:
    async def test_is_told_later_of_what_has_happened_meanwhile(self, tenancy: Tenancy, stream: Stream):
        """Nothing is held for it in memory but one batch; once it is back, all is there, once and in order."""
        relay = stream.relay(tenancy)
        await emitted(tenancy, 0, 1)
        assert await relay.run(tenancy.tenant) is None
        assert stream.publisher.warnings() == []
        stream.nats.stop()
        try:
            await emitted(tenancy, *range(2, 12))
            assert await relay.run(tenancy.tenant) == 1.0
            assert await place_of(tenancy) == 2
            (warning,) = stream.publisher.warnings()
            assert "NATS" in warning
            assert b"billfold_stream_reachable 0.0" in stream.metrics.exposition()
            assert b"billfold_stream_behind_seconds 0.0\n" not in stream.metrics.exposition()
        finally:
            stream.nats.start()
        await told(tenancy, relay, 12)
        assert [each.sequence for _, _, each in await stream.messages()] == list(range(1, 13))
        assert stream.publisher.warnings() == []
        assert b"billfold_stream_reachable 1.0" in stream.metrics.exposition()

    async def test_is_left_for_another_one_where_it_answers_nothing(
        self, tenancy: Tenancy, stream: Stream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        """A connection that is open and silent, as behind a network that is cut, isn't asked again."""
        for name, value in (("_ANSWER_S", 1.5), ("_CONNECT_S", 1.5), ("_EVERY_S", 0.0)):
            monkeypatch.setattr(service, name, value)
        with held(1) as (port,):
            other = Nats(tmp_path, port)
            other.start()
            await self._leaves(tenancy, stream, other)

    async def test_is_kept_where_others_have_connected_it_meanwhile(
        self, tenancy: Tenancy, stream: Stream, monkeypatch: pytest.MonkeyPatch
    ):
        """Who has waited in vain on the one before, as tenants at one time do, takes nobody the new one."""
        monkeypatch.setattr(service, "_EVERY_S", 0.0)
        publisher = stream.publisher

        async def silent(*_: object) -> int:
            await publisher.aclose()
            await publisher._connected()
            raise TimeoutError

        monkeypatch.setattr(publisher, "_there", silent)
        await emitted(tenancy, 0)
        assert await stream.relay(tenancy).run(tenancy.tenant) is not None
        assert publisher._client is not None
        assert publisher._client.is_connected

    async def _leaves(self, tenancy: Tenancy, stream: Stream, other: Nats) -> None:
        elsewhere = Stream(other)
        settings = msgspec.structs.replace(elsewhere.settings, nats_url=f"{stream.nats.url},{other.url}")
        publisher = NatsPublisher(settings, Metrics(), SystemClock())
        relay = Relay(tenancy.database, [publisher])
        other.stop()
        await emitted(tenancy, 0)
        await told(tenancy, relay, 1)
        other.start()
        stream.nats.send(signal.SIGSTOP)
        try:
            await emitted(tenancy, 1)
            # The first time it is asked in vain; and the other one may stand still for a while as well.
            await told(tenancy, relay, 2)
            assert [each.sequence for _, _, each in await elsewhere.messages()] == [2]
        finally:
            stream.nats.send(signal.SIGCONT)
            await publisher.aclose()
            other.stop()


class TestASlowServer:
    async def test_is_told_as_much_as_there_is_time_for(
        self, tenancy: Tenancy, stream: Stream, monkeypatch: pytest.MonkeyPatch
    ):
        """What it has taken by then counts, and the rest follows at once: it isn't away, and nothing is put off."""
        monkeypatch.setattr(service, "_TURN_S", 0.5)
        turns: list[int] = []
        send, publish = stream.publisher._send, stream.publisher.publish

        async def slow(*given: Any, **more: Any) -> Any:
            await asyncio.sleep(0.3)
            turns[-1] += 1
            return await send(*given, **more)

        async def in_turns(*given: Any) -> int | None:
            turns.append(0)
            return await publish(*given)

        monkeypatch.setattr(stream.publisher, "_send", slow)
        monkeypatch.setattr(stream.publisher, "publish", in_turns)
        await emitted(tenancy, *range(8))
        assert await stream.relay(tenancy, batch=100).run(tenancy.tenant) is None
        # The second one of a turn ends it, and each that stands still for a while is over sooner.
        assert (sum(turns), max(turns) <= 2) == (8, True)
        assert [each.sequence for _, _, each in await stream.messages()] == list(range(1, 9))
        assert await place_of(tenancy) == 8


async def forget_place(settings: Settings) -> None:
    """Take away the publisher's place in every tenant's stream: a server without it would keep its events for it."""
    assert settings.admin_database_url is not None
    connection = await asyncpg.connect(settings.admin_database_url.reveal())
    try:
        for row in await connection.fetch("SELECT schemaname FROM pg_tables WHERE tablename = 'publisher_cursors'"):
            await connection.execute(f"DELETE FROM \"{row['schemaname']}\".publisher_cursors WHERE publisher = 'nats'")  # noqa: S608 - the catalog's
    finally:
        await connection.close()


class TestAServerThatIsToldOfNats:
    async def test_publishes_what_happens(self, live: LiveServer, stream: Stream):
        """A party that is made over HTTP is told of below its tenant's name."""
        nats = {"nats_url": stream.nats.url, "nats_stream": stream.name, "nats_subject": stream.name}
        app: Any = build_app(msgspec.structs.replace(live.settings, **nats))
        with live.client("alpha") as client:
            party_id = client.post("/v1/parties", json={"kind": "person", "name": "Ada"}).json()["id"]
        reader = await stream.client()
        subscription = await reader.subscribe(f"{stream.name}.alpha.party.created")
        # So the server knows of it before anything is published.
        await reader.flush(60)
        try:
            async with app.lifespan(), asyncio.timeout(60):
                while (await subscription.next_msg(60)).data.find(party_id.encode()) < 0:
                    pass
        finally:
            await reader.close()
            await forget_place(live.settings)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Run a NATS server that lets nobody in but by TLS, a client's certificate, a name and a password."""
    if shutil.which("nats-server") is None:
        pytest.skip("needs nats-server")
    with held(1) as (port,):
        server = Guarded(tmp_path_factory.mktemp("guarded"), port)
        server.start()
        yield server
        server.stop()


class TestAServerThatIsGuarded:
    async def test_is_told_by_who_has_what_it_asks_for(self, guarded: Guarded, tenancy: Tenancy):
        """Without the right password or the right authority nothing is told and nothing lost; with them, all is."""
        await emitted(tenancy, 0, 1)
        guarded.password_file.write_text("another", encoding="utf-8")
        stream = guarded.stream()
        with structlog.testing.capture_logs() as logs:
            assert await stream.relay(tenancy).run(tenancy.tenant) == 1.0
        said = next(each["said"] for each in logs if each["event"] == "nats_unreachable")
        assert "authorization violation" in said.lower()
        assert not {"another", guarded.password} & set(said.split())
        elsewhere = guarded.stream(nats_ca_file=guarded.given["nats_client_certificate"])
        await tenancy.as_owner(tenancy.tenant, NO_LEASE)
        assert await elsewhere.relay(tenancy).run(tenancy.tenant) == 2.0
        assert await place_of(tenancy) == 0
        # The password is read at every login.
        guarded.password_file.write_text(guarded.password + "\n", encoding="utf-8")
        await tenancy.as_owner(tenancy.tenant, NO_LEASE)
        again = guarded.stream()
        assert await again.relay(tenancy).run(tenancy.tenant) is None
        assert [each.sequence for _, _, each in await again.messages()] == [1, 2]
        for each in (stream, elsewhere, again):
            await each.publisher.aclose()

    async def test_is_left_alone_where_a_file_is_missing(self, guarded: Guarded, tenancy: Tenancy, tmp_path: Path):
        """It is no server's fault, and once the file is there again all is told."""
        password_file, kept = tmp_path / "password", f"{guarded.password}\n"
        stream = guarded.stream(nats_password_file=str(password_file))
        await emitted(tenancy, 0)
        with structlog.testing.capture_logs() as logs:
            assert await stream.relay(tenancy).run(tenancy.tenant) == 1.0
        said = [(each["event"], each["cause"]) for each in logs if each["log_level"] == "warning"]
        assert said == [
            ("nats_files_unreadable", "FileNotFoundError"),
            ("publisher_failed", "StreamUnavailableError"),
        ]
        password_file.write_text(kept, encoding="utf-8")
        await told(tenancy, stream.relay(tenancy), 1)
        await stream.publisher.aclose()


class TestAnEventThatIsTooLarge:
    @pytest.mark.parametrize("narrow", ["server", "stream"])
    async def test_is_told_without_what_it_says(self, guarded: Guarded, tenancy: Tenancy, narrow: str):
        """Those behind it aren't kept back, the numbers have no gap, and the API has it whole."""
        stream = guarded.stream()
        if narrow == "stream":
            client = await stream.client()
            await client.jetstream(timeout=60).add_stream(
                name=stream.name, subjects=[f"{stream.name}.>"], max_msg_size=1_000, duplicate_window=60
            )
            await client.close()
        size = {"server": 3_000, "stream": 900}[narrow]
        large = msgspec.structs.replace(event(1), data=msgspec.json.encode({"n": "x" * size}))
        async with tenancy.database.tx(tenancy.tenant) as tx:
            await emit(tx, event(0), large, event(2))
        assert await stream.relay(tenancy).run(tenancy.tenant) is None
        whole = await in_outbox(tenancy)
        told = [each for _, _, each in await stream.messages()]
        assert told == [whole[0], msgspec.structs.replace(whole[1], data={}), whole[2]]
        assert (await stream.headers())[1].get("Billfold-Omitted") == "data"
        assert b'billfold_stream_events_total{outcome="reference"} 1.0' in stream.metrics.exposition()
        await stream.publisher.aclose()


class TestAStreamThatIsThere:
    async def test_stays_as_its_operators_have_made_it(self, tenancy: Tenancy, stream: Stream):
        """Its limits are theirs."""
        client = await stream.client()
        jetstream = client.jetstream(timeout=60)
        await jetstream.add_stream(name=stream.name, subjects=[f"{stream.name}.>"], max_msgs_per_subject=2)
        await emitted(tenancy, *range(4))
        assert await stream.relay(tenancy).run(tenancy.tenant) is None
        info = await jetstream.stream_info(stream.name)
        await client.close()
        assert (info.config.max_msgs_per_subject, info.state.messages, info.state.last_seq) == (2, 2, 4)

    async def test_is_made_anew_where_it_was_deleted(self, tenancy: Tenancy, stream: Stream):
        """What happens from then on is in the new one, and no server has to be started anew for it."""
        relay = stream.relay(tenancy)
        await emitted(tenancy, 0)
        assert await relay.run(tenancy.tenant) is None
        client = await stream.client()
        assert await client.jetstream(timeout=60).delete_stream(stream.name)
        await client.close()
        await emitted(tenancy, 1, 2)
        await told(tenancy, relay, 3)
        assert [each.sequence for _, _, each in await stream.messages()] == [2, 3]
        assert stream.publisher.warnings() == []
