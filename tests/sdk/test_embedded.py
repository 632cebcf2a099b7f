"""The platform in the partner's own process (billfold.embedded), on a PostgreSQL of its own."""

import ast
import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from billfold import Billfold, Money, _server, errors
from billfold.embedded import embedded, embedded_sync
from billfold_server.db.embedded import EmbeddedPostgres
from tests.announcing import announce
from tests.patient.sitecustomize import PATH
from tests.postgres import binaries, own_data_dir
from tests.texts import snippet

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PATIENCE_S = 30


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that announces the server as an installed distribution does."""
    return announce(tmp_path_factory.mktemp("site"))


@pytest.fixture(autouse=True)
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the server, and take away what a developer may have set."""
    monkeypatch.syspath_prepend(str(site))
    for name in ("BILLFOLD_DATABASE_URL", "BILLFOLD_DATA_DIR", "BILLFOLD_CONFIG", "BILLFOLD_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """A data folder that the tests of this module share, as runs of one program do."""
    binaries(18)
    folder = own_data_dir()
    yield folder
    # The cluster first, as whose user it runs; then what the platform has put beside it.
    EmbeddedPostgres(folder).discard()
    shutil.rmtree(folder)


class Process:
    """Another process that embeds the platform."""

    def __init__(self, data_dir: Path, site: Path) -> None:
        path = os.pathsep.join(map(str, (PATH, site, ROOT / "sdk", ROOT / "server")))
        self.running = subprocess.Popen(
            [
                sys.executable,
                "-W",
                "ignore::DeprecationWarning",
                str(Path(__file__).parent / "embedding.py"),
                str(data_dir),
            ],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == "open"

    def does(self, what: str) -> str:
        """Let it do something, and return its answer."""
        assert self.running.stdin is not None
        self.running.stdin.write(f"{what}\n")
        self.running.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self.running.stdout is not None
        return self.running.stdout.readline().strip()

    def end(self) -> None:
        """Let it end by itself, unless it has been killed."""
        assert self.running.stdin is not None
        assert self.running.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.running.stdin.close()
        self.running.wait(PATIENCE_S)
        self.running.stdout.close()


@contextlib.contextmanager
def process(data_dir: Path, site: Path) -> Iterator[Process]:
    """Run such a process until the block ends."""
    other = Process(data_dir, site)
    try:
        yield other
    finally:
        other.end()


def numbered(billfold: Billfold, object_id: str) -> bool:
    """Tell whether an object's event gets its number in time, which is a job of the background."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if object_id in [event.object_id for event in billfold.events.list(limit=100)]:
            return True
        # Who numbers it may be this process.
        time.sleep(0.02)
    return False


class TestEmbedding:
    async def test_moves_money(self, data_dir: Path, capfd: pytest.CaptureFixture[str]):
        """The same client works in process, and the program's own output is left alone."""
        async with embedded(data_dir=data_dir) as billfold:
            party = await billfold.parties.create(kind="person", name="Ada Lovelace")
            wallet = await billfold.wallets.create(party_id=party.id)
            top_up = await billfold.top_ups.create(wallet_id=wallet.id, amount=Money(1250, "EUR"))
            assert top_up.balance_after_minor == 1250
            with pytest.raises(errors.InsufficientFunds):
                await billfold.withdrawals.create(wallet_id=wallet.id, amount=Money(1251, "EUR"))
        assert capfd.readouterr() == ("", "")

    async def test_opens_as_the_readme_shows(self, data_dir: Path, monkeypatch: pytest.MonkeyPatch):
        """What is shown runs as it stands, where somebody may wait at the top of a program."""
        monkeypatch.setenv("BILLFOLD_DATA_DIR", str(data_dir))
        (shown,) = re.findall(r"```python\n([^`]*async with embedded[^`]*)```", README.read_text(encoding="utf-8"))
        namespace: dict[str, Any] = {}
        await eval(compile(shown, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), namespace)  # noqa: S307 - Our own page.
        assert namespace["party"].name == "Analytical Engines"

    async def test_opens_as_a_guide_shows(self, data_dir: Path, monkeypatch: pytest.MonkeyPatch):
        """The portal's function runs as it stands."""
        monkeypatch.setenv("BILLFOLD_DATA_DIR", str(data_dir))
        namespace: dict[str, Any] = {}
        exec(snippet("guides/embedding", "def open_a_wallet"), namespace)  # noqa: S102 - Our own page.
        assert (await namespace["open_a_wallet"]()).startswith("wal_")

    def test_serves_the_threads_of_a_program(self, data_dir: Path):
        """The synchronous client is used by several threads at once, and each order is booked once."""
        with embedded_sync(data_dir=data_dir) as billfold:
            party = billfold.parties.create(kind="person", name="Grace Hopper")
            wallet = billfold.wallets.create(party_id=party.id)
            start = threading.Barrier(4)

            def fund() -> None:
                start.wait()
                for _ in range(5):
                    billfold.top_ups.create(wallet_id=wallet.id, amount=Money(1, "EUR"))

            threads = [threading.Thread(target=fund) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert [each.available_minor for each in billfold.wallets.balances(wallet.id)] == [20]

    def test_keeps_its_data(self, data_dir: Path):
        """What one run has made, the next one finds."""
        with embedded_sync(data_dir=data_dir) as billfold:
            party = billfold.parties.create(kind="company", name="Analytical Engines Ltd")
        with embedded_sync(data_dir=data_dir) as billfold:
            assert billfold.parties.get(party.id) == party

    def test_makes_and_removes_sandboxes_of_partners(self, data_dir: Path):
        """As a server does, by jobs in the background."""
        with embedded_sync(data_dir=data_dir) as billfold:
            partner = billfold.partners.create(name="Example Shop Ltd").id
            made = billfold.partners.sandboxes.create(partner, name="checkout", seeded=False).id
            deadline = time.monotonic() + PATIENCE_S
            while billfold.partners.sandboxes.get(partner, made).state != "ready":
                assert time.monotonic() < deadline
                time.sleep(0.1)
            billfold.partners.sandboxes.remove(partner, made)
            while list(billfold.partners.sandboxes.list(partner)):
                assert time.monotonic() < deadline
                time.sleep(0.1)

    def test_ends_with_the_block(self, data_dir: Path):
        """A client that outlives its platform says so at once."""
        with embedded_sync(data_dir=data_dir) as billfold:
            pass
        with pytest.raises(RuntimeError):
            billfold.tenant.get()

    def test_passes_on_what_the_block_raises(self, data_dir: Path):
        """An error in the program closes the platform and reaches the program."""
        with pytest.raises(KeyError, match="mine"), embedded_sync(data_dir=data_dir):
            raise KeyError("mine")


class TestSeveralProcesses:
    def test_share_one_platform(self, data_dir: Path, site: Path):
        """What one process makes, the others see, whichever came first."""
        with process(data_dir, site) as one, process(data_dir, site) as two, embedded_sync(data_dir=data_dir) as here:
            for other in (one, two):
                assert here.parties.get(other.does("party")).name == "Ada Lovelace"

    def test_hand_over_when_the_first_is_killed(self, data_dir: Path, site: Path):
        """After a kill -9 of the process that does the jobs, another one does them."""
        with process(data_dir, site) as first, embedded_sync(data_dir=data_dir) as billfold:
            assert numbered(billfold, first.does("party"))
            first.running.kill()
            first.running.wait(PATIENCE_S)
            assert numbered(billfold, billfold.parties.create(kind="person", name="Grace Hopper").id)

    def test_do_not_share_a_client_over_a_fork(self, data_dir: Path, site: Path):
        """A forked child that uses its parent's client is told to open its own, and doesn't wait for ever."""
        with process(data_dir, site) as other:
            assert other.does("fork") == "RuntimeError"
            assert other.does("party").startswith("par_")


class TestWhatIsMissing:
    async def test_is_named(self, monkeypatch: pytest.MonkeyPatch):
        """Without the extras, both modes say in one sentence what to install."""
        monkeypatch.setattr(_server, "GROUP", "billfold.nobody")
        with pytest.raises(_server.MissingExtraError) as caught:
            async with embedded():
                pass
        assert caught.value.extra == "server,postgres"
        with pytest.raises(_server.MissingExtraError), embedded_sync():
            pass

    async def test_is_not_made_up_for_production(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        """Settings of production refuse to be embedded."""
        monkeypatch.setenv("BILLFOLD_ENVIRONMENT", "production")
        with pytest.raises(Exception, match=r"production|passphrase|TLS"):
            async with embedded(data_dir=tmp_path):
                pass
