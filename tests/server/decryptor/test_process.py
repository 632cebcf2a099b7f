"""The decryptor as a process: what happens when it dies, hangs, is full, or somebody else sits at its socket."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from billfold import errors
from billfold.clock import SystemClock
from billfold_server.decryptor import wire
from billfold_server.decryptor.address import AddressUnsafe, folder_of, listen
from billfold_server.decryptor.client import PATIENCE_S, Client, Standing
from billfold_server.decryptor.cvcs import Cvcs
from billfold_server.decryptor.handling import Handling
from billfold_server.decryptor.server import Server
from billfold_server.decryptor.service import SECRET
from billfold_server.decryptor.wire import Incoming, Taken
from billfold_server.keys.service import Keyring, Keys, KeyStore, LocalBackend, open_keyring
from billfold_server.serving.on_demand import OnDemand
from billfold_server.settings import Secret, Settings
from tests.keystores import StoreUrls
from tests.openbao import OpenBao
from tests.pace import quickest, until
from tests.postgres import in_own_loop
from tests.server.decryptor.sealing import CARD, ISSUER, PATIENT_S, Vault, Worker, opened
from tests.server.keys.vault.kit import approle


def with_keyring(settings: Settings) -> Settings:
    """Give a deployment its keyring, which none of its processes makes anew."""
    open_keyring(settings)
    return settings


@pytest.fixture(scope="module")
def settings(key_store_urls: StoreUrls, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Those of a deployment whose key store is there."""
    data_dir = str(tmp_path_factory.mktemp("decryptor"))
    return with_keyring(Settings(data_dir=data_dir, key_store_url=Secret(key_store_urls.own)))


@pytest.fixture(scope="module")
def process(settings: Settings) -> Iterator[OnDemand]:
    """A decryptor that is looked after; it runs from its first use on."""
    looked_after = OnDemand(settings)
    in_own_loop(looked_after.wake())
    yield looked_after
    looked_after.stop()


@pytest_asyncio.fixture
async def worker(process: OnDemand, settings: Settings) -> AsyncIterator[Worker]:
    """A worker with a connection of its own."""
    assert process
    worker = await Worker(settings).ready()
    yield worker
    await worker.client.aclose()


async def until_back(worker: Worker, former: int | None = None) -> int:
    """Wait until a process answers, and it is another one, and return its id."""
    while True:
        try:
            if (pid := (await worker.status()).pid) != former:
                return pid
        except errors.KeysUnavailable:
            await asyncio.sleep(0.01)


async def replaced(worker: Worker) -> None:
    """Kill the process, and wait until another one answers."""
    former = await until_back(worker)
    os.kill(former, signal.SIGKILL)
    await until_back(worker, former)


class TestAProcessThatIsKilled:
    async def test_is_replaced_within_seconds_and_leaves_nothing_half_done(self, worker: Worker) -> None:
        """Under load each order is answered whole or by KeysUnavailable, and all go on with the next process."""
        stop = asyncio.Event()
        done: list[tuple[Incoming, Taken]] = []
        refused: list[str] = []

        async def load() -> None:
            while not stop.is_set():
                items = [worker.card() for _ in range(4)]
                try:
                    results = await worker.take_in(*items)
                except errors.KeysUnavailable as error:
                    refused.append(str(error.facts["reason"]))
                else:
                    assert len(results) == len(items)
                    done.extend(zip(items, results, strict=True))

        worker.client._patience_s = PATIENCE_S
        loads = [asyncio.create_task(load()) for _ in range(4)]
        while len(done) < 40:
            await asyncio.sleep(0.01)
        took_s = await quickest(partial(replaced, worker), below_s=2)
        before = len(done)
        while len(done) < before + 40:
            await asyncio.sleep(0.01)
        stop.set()
        await asyncio.gather(*loads)
        worker.client._patience_s = PATIENT_S
        # What was sealed by either process opens, and codes went with the first.
        first, last = (
            opened(await worker.give_out(*done[0]), worker.mine),
            opened(await worker.give_out(*done[-1]), worker.mine),
        )
        assert [each["number"] for each in (first, last)] == [CARD["number"]] * 2
        assert ["cvc" in each for each in (first, last)] == [False, True]
        if took_s >= 2:
            # Measured by how long it takes where nobody asks for anything, on this machine as busy as it is.
            began = time.monotonic()
            await replaced(worker)
            assert took_s < 2 + 3 * (time.monotonic() - began)

    async def test_takes_its_codes_with_it(self, worker: Worker) -> None:
        """A code that waited for its authorization isn't there any more."""
        item = worker.card()
        (taken,) = await worker.take_in(item)
        await replaced(worker)
        assert (await worker.status()).cvcs == 0
        assert "cvc" not in opened(await worker.give_out(item, taken), worker.mine)


SLOWER = 3 if os.environ.get("CI") else 1
"""On CI's machines others start processes at the same time."""


class TestAProcessThatHangs:
    async def test_is_answered_for_within_two_seconds(self, worker: Worker) -> None:
        """Nobody waits for it longer, and it goes on where it stopped."""
        pid, asked = (await worker.status()).pid, 0

        async def ask() -> None:
            nonlocal asked
            asked += 1
            with pytest.raises(errors.KeysUnavailable) as refused:
                await worker.take_in(worker.card())
            assert refused.value.facts["reason"] == "decryptor_timeout"
            assert refused.value.facts["retry_after_s"] == 1
            assert worker.client.failures["decryptor_timeout"] == asked

        worker.client._patience_s = PATIENCE_S
        os.kill(pid, signal.SIGSTOP)
        try:
            assert await quickest(ask, below_s=2) < 2
            stood = worker.client.standing.ok
        finally:
            os.kill(pid, signal.SIGCONT)
        worker.client._patience_s = PATIENT_S
        assert await worker.take_in(worker.card())
        assert [stood, worker.client.standing.ok] == [False, True]
        assert worker.client.counts["take_in"] == 1


class TestAProcessWithTooMuchToDo:
    async def test_answers_each_order_whole_or_refuses_it(self, worker: Worker) -> None:
        """Under several times what it can do nothing is lost, nobody waits for long, and then it takes orders again."""
        worker.client._patience_s = PATIENCE_S
        batch = [worker.card()] * wire.MOST_ITEMS

        async def ask() -> str:
            began = time.monotonic()
            try:
                return "taken" if len(await worker.take_in(*batch)) == len(batch) else "lost"
            except errors.KeysUnavailable:
                took_s = time.monotonic() - began
                return "refused" if took_s < 4 * SLOWER else f"refused after {took_s:.1f} s"

        outcomes: set[str] = set()
        # On a machine that does other things meanwhile the first ones may be refused to the last.
        for orders in (40, 20, 10, 5, 2, 1):
            outcomes |= set(await asyncio.gather(*(ask() for _ in range(orders))))
            if "taken" in outcomes:
                break
        assert outcomes <= {"taken", "refused"}
        assert "taken" in outcomes
        worker.client._patience_s = PATIENT_S
        assert await worker.take_in(worker.card())

    async def test_refuses_what_it_cant_hold(self, vault: Vault, tmp_path: Path) -> None:
        """Beyond its bound an order is refused at once, by a reason, and taken again when there is room."""
        server = Server(tmp_path / "socket", b"s" * 32, vault.handling, most_waiting=8)
        serving = asyncio.create_task(server.serve())
        client = Client(tmp_path / "socket", b"s" * 32, patience_s=PATIENT_S)
        order = wire.TakeIn(vault.tenant_id, ISSUER, vault.sealed, [vault.card() for _ in range(8)])
        assert isinstance(await client.ask(order), wire.TakenIn)
        one, *others = await asyncio.gather(*(client.ask(order) for _ in range(3)), return_exceptions=True)
        assert isinstance(one, wire.TakenIn)
        refused = [each.facts["reason"] for each in others if isinstance(each, errors.KeysUnavailable)]
        assert refused == ["overloaded", "overloaded"]
        assert isinstance(await client.ask(order), wire.TakenIn)
        await client.aclose()
        serving.cancel()
        await asyncio.wait([serving])
        await server.drain()

    async def test_refuses_more_items_than_one_order_may_have(self, worker: Worker) -> None:
        """The client splits what is more."""
        with pytest.raises(errors.KeysUnavailable):
            await worker.take_in(*[worker.card()] * (wire.MOST_ITEMS + 1))


class TestASocket:
    async def test_is_for_its_owner_alone(self, worker: Worker, settings: Settings) -> None:
        """Neither the folder nor the socket is open to others."""
        folder = folder_of(settings.data_dir)
        assert await worker.status()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "socket").stat().st_mode & 0o777 == 0o600

    async def test_that_was_taken_away_is_put_back(self, worker: Worker, settings: Settings) -> None:
        """New connections find it again, and standing ones never lose it."""
        (folder_of(settings.data_dir) / "socket").unlink()
        assert await worker.take_in(worker.card())
        another = Worker(settings)
        assert await another.status()
        await another.client.aclose()

    async def test_at_which_somebody_else_sits_is_told_nothing(self, worker: Worker, settings: Settings) -> None:
        """Who doesn't know the deployment's secret gets a nonce and a proof, and no order."""
        heard: list[bytes] = []
        listener = listen(folder_of(settings.data_dir))
        listener.settimeout(30)

        def pretend() -> None:
            connection, _ = listener.accept()
            connection.settimeout(30)
            connection.sendall(b"n" * 32)
            heard.append(connection.recv(65_536))
            connection.sendall(b"p" * 32)
            heard.append(connection.recv(65_536))
            connection.close()

        thread = threading.Thread(target=pretend)
        thread.start()
        another = Worker(settings)
        with pytest.raises(errors.KeysUnavailable) as refused:
            await another.client.ask(wire.Status())
        await asyncio.to_thread(thread.join)
        listener.close()
        assert refused.value.facts["reason"] == "decryptor_foreign"
        assert [len(each) for each in heard] == [64, 0]
        # The process finds its socket taken and puts it back.
        assert await another.status()
        await another.client.aclose()
        assert await worker.status()

    async def test_hangs_up_on_who_doesnt_know_the_secret(self, worker: Worker, settings: Settings) -> None:
        """No order of theirs is read."""
        stranger = Client(folder_of(settings.data_dir), b"x" * 32, patience_s=0.3)
        with pytest.raises(errors.KeysUnavailable):
            await stranger.ask(wire.Status())
        await stranger.aclose()
        assert await worker.status()

    @pytest.mark.parametrize("frame", [b"\xff\xff\xff\xff", b"\0\0\0\x04junk", b"\0\0\0\x00"])
    async def test_hangs_up_on_frames_that_are_none(self, worker: Worker, settings: Settings, frame: bytes) -> None:
        """Too large, or unreadable: the connection ends, and others go on."""
        another = Worker(settings)
        assert await another.status()
        connection = another.client._connection
        assert connection is not None
        connection._writer.write(frame)
        await asyncio.wait([connection._reading], timeout=30)
        assert not connection.open
        assert await worker.status()

    async def test_of_a_foreign_user_is_refused(self, worker: Worker, settings: Settings) -> None:
        """The kernel says who is there; another user's process is hung up on, though it got hold of the path."""
        if os.geteuid() != 0:
            pytest.skip("only root can start another user's process")
        folder = folder_of(settings.data_dir)
        program = (
            "import os,socket,sys\n"
            "d=os.open(sys.argv[1],os.O_RDONLY)\nos.setgid(65534);os.setuid(65534)\n"
            "s=socket.socket(socket.AF_UNIX)\n"
            "try: s.connect(f'/proc/self/fd/{d}/socket')\n"
            "except PermissionError: print('closed');sys.exit()\n"
            "print(s.recv(32))"
        )
        for mode in (0o700, 0o711):
            folder.chmod(mode)
            (folder / "socket").chmod(0o600 if mode == 0o700 else 0o666)
            run = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-c", program, str(folder)],
                capture_output=True,
                text=True,
                check=False,
            )
            assert run.stdout.strip() == ("closed" if mode == 0o700 else "b''"), run.stderr
        folder.chmod(0o700)
        assert await worker.status()

    def test_isnt_made_in_a_folder_that_is_open_to_others(self, tmp_path: Path) -> None:
        """The process ends rather than listen where others may put something in its place."""
        folder = tmp_path / "decryptor"
        folder.mkdir(mode=0o755)
        with pytest.raises(AddressUnsafe):
            listen(folder)

    def test_may_lie_deeper_than_sockets_can(self, tmp_path: Path) -> None:
        """A long data folder is no reason to refuse."""
        folder = tmp_path / ("x" * 200)
        listener = listen(folder)
        listener.close()
        assert (folder / "socket").exists()


class TestNoProcess:
    async def test_is_answered_for_in_time(self, settings: Settings, tmp_path: Path) -> None:
        """As long as there might come one, it is waited for, and no longer."""
        client = Client(tmp_path, open_keyring(settings).derive(SECRET), patience_s=0.5)

        async def ask() -> None:
            with pytest.raises(errors.KeysUnavailable) as refused:
                await client.ask(wire.Status())
            assert refused.value.facts["reason"] == "decryptor_down"

        assert 0.3 < await quickest(ask, below_s=1) < 1

    async def test_is_told_as_such_by_a_process_that_was_held_up(self, settings: Settings, tmp_path: Path) -> None:
        """That it couldn't look again in time doesn't make a decryptor that is down one that is slow."""
        client = Client(tmp_path, open_keyring(settings).derive(SECRET), patience_s=0.2)
        asking = asyncio.create_task(client.ask(wire.Status()))
        await asyncio.sleep(0)
        time.sleep(0.3)  # noqa: ASYNC251 -- It holds up the event loop on purpose.
        with pytest.raises(errors.KeysUnavailable) as refused:
            await asking
        assert refused.value.facts["reason"] == "decryptor_down"

    def test_outlives_its_parent(self, settings: Settings, tmp_path: Path) -> None:
        """When whoever started it is killed, it ends by itself; nothing secret is in its arguments or environment."""
        assert settings.key_store_url is not None
        own = with_keyring(Settings(data_dir=str(tmp_path), key_store_url=settings.key_store_url))
        secret = settings.key_store_url.reveal()
        with subprocess.Popen(
            [sys.executable, "-c", PARENT, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "BILLFOLD_KEY_STORE_URL": secret},
        ) as parent:
            assert parent.stdin is not None
            assert parent.stdout is not None
            parent.stdin.write(secret + "\n")
            parent.stdin.flush()
            assert parent.stdout.readline() == "ready\n"
            pid = in_own_loop(self.pid(own))
            told = Path(f"/proc/{pid}")
            assert secret.encode() not in (told / "cmdline").read_bytes()
            if os.geteuid() == 0:
                # Nobody but root reads it at all.
                assert (told / "environ").stat().st_uid == 0
                assert secret.encode() not in (told / "environ").read_bytes()
            parent.kill()
        until(lambda: not told.exists(), timeout_s=10)

    async def pid(self, settings: Settings) -> int:
        """Ask a process who it is."""
        worker = Worker(settings)
        try:
            return (await worker.status()).pid
        finally:
            await worker.client.aclose()


PARENT = """
import asyncio, sys, time
from billfold_server.settings import Secret, Settings
from billfold_server.serving.on_demand import OnDemand

settings = Settings(data_dir=sys.argv[1], key_store_url=Secret(sys.stdin.readline().strip()))
asyncio.run(OnDemand(settings).wake())
print("ready", flush=True)
time.sleep(60)
"""


class TestOneThatCantStart:
    async def test_is_tried_again_by_who_asks_next(self, settings: Settings, tmp_path: Path) -> None:
        """What was in the way once isn't for ever."""
        own = Settings(data_dir=str(tmp_path / "later"), key_store_url=settings.key_store_url)
        looked_after = OnDemand(own)
        await looked_after.wake()
        (tmp_path / "later").mkdir(mode=0o700)
        worker = Worker(own)
        worker.client.wake = looked_after.wake
        try:
            assert await worker.status()
        finally:
            await worker.client.aclose()
            await asyncio.to_thread(looked_after.stop)


async def not_ready(worker: Worker) -> None:
    """Ask for a key in vain."""
    with pytest.raises(errors.KeysUnavailable):
        await worker.ready()


class TestAKeyStoreThatIsDown:
    async def test_is_answered_for_within_two_seconds(self, tmp_path: Path) -> None:
        """The process stays, says so, and needs no restart."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            url = Secret(f"postgresql://nobody:secret@127.0.0.1:{port}/nothing")
            own = with_keyring(Settings(data_dir=str(tmp_path), key_store_url=url))
            looked_after = OnDemand(own)
            await looked_after.wake()
            worker = Worker(own, patience_s=PATIENCE_S)
            try:
                assert await quickest(partial(not_ready, worker), below_s=2) < 2
                worker.client._patience_s = PATIENT_S
                assert (await worker.status()).pid
            finally:
                await worker.client.aclose()
                await asyncio.to_thread(looked_after.stop)


async def looked_until(worker: Worker, keys: str | None) -> set[str]:
    """Look how the decryptor is until it says this of its keys, and return how its calls to Vault went meanwhile."""
    outcomes: set[str] = set()
    while True:
        told = await worker.client.look()
        assert told is not None
        outcomes |= {outcome for _, outcome, _ in told.vault_calls}
        if told.keys == keys:
            return outcomes
        await asyncio.sleep(0.05)


class TestAnOrderThatHadNoKeys:
    async def test_counts_until_another_order_or_time_says_more(
        self, new_keys: Callable[..., Keys], keyring: Keyring, cvcs: Cvcs, tmp_path: Path
    ) -> None:
        """That the decryptor says how it is, for which it needs no key, is no sign that cards can be opened."""
        nowhere = KeyStore("postgresql://nobody@127.0.0.1:1/nothing")
        keys = new_keys(domain="cards", backend=lambda _store: LocalBackend(keyring, nowhere))
        server = Server(tmp_path / "socket", b"s" * 32, Handling(keys, SystemClock(), cvcs))
        serving = asyncio.create_task(server.serve())
        lasting = Client(tmp_path / "socket", b"s" * 32)
        brief = Client(tmp_path / "socket", b"s" * 32, believed_s=0)
        for client in (lasting, brief):
            with pytest.raises(errors.KeysUnavailable):
                await client.ask(wire.MakeKey(uuid4(), 1))
            told = await client.look()
            assert told is not None
            assert told.keys is None
        assert lasting.standing == Standing(ok=False, reason="key_store_unreachable")
        assert brief.standing == Standing()
        await lasting.ask(wire.Status())
        assert lasting.standing == Standing()
        for client in (lasting, brief):
            await client.aclose()
        serving.cancel()
        await asyncio.wait([serving])
        await server.drain()


class TestAVaultThatIsSealed:
    async def test_is_answered_for_within_two_seconds_and_used_again(
        self, key_store_urls: StoreUrls, openbao: OpenBao, tmp_path: Path
    ) -> None:
        """What needs Vault is refused, what doesn't goes on, and nothing is restarted."""
        own = with_keyring(
            Settings(
                data_dir=str(tmp_path),
                key_store_url=Secret(key_store_urls.own),
                key_backend="vault",
                vault_address=openbao.url,
                **approle(openbao, tmp_path, "billfold-decryptor"),
            )
        )
        looked_after = OnDemand(own)
        await looked_after.wake()
        known, new = await Worker(own).ready(), Worker(own, patience_s=PATIENCE_S)
        try:
            pid = (await known.status()).pid
            with openbao.sealed():
                assert await quickest(partial(not_ready, new), below_s=2) < 2
                assert "sealed" in await looked_until(known, "sealed")
                # What needs no key from Vault is no sign that the next one could be had.
                assert await known.take_in(known.card())
                assert known.client.standing == Standing(ok=False, reason="sealed")
            while not new.keys:
                with contextlib.suppress(errors.KeysUnavailable):
                    await new.ready()
            assert await new.take_in(new.card())
            await looked_until(known, None)
            assert known.client.standing == Standing()
            assert (await new.status()).pid == pid
        finally:
            await known.client.aclose()
            await new.client.aclose()
            await asyncio.to_thread(looked_after.stop)
