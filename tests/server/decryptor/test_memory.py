"""A worker's memory after a thousand cards have gone through it, looked through from outside."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from billfold import Billfold, errors
from billfold.contract.tokens import CreateVaultToken, VaultTokenKind
from billfold.tokenization import Card, seal_card
from tests.cards import numbered
from tests.live import LiveServer, serve, settings_for
from tests.memory import found_in
from tests.sandbox import database, options
from tests.server.tokens.banks import TOKENIZATION
from tests.tenants import manifest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc/<pid>/mem")

CARDS = 1_000
BULK = 100
BEGINNING = "49993188"


@pytest.fixture(scope="module")
def live(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server of a tenant with a vault."""
    with database(postgres_dsn) as dsn, serve(settings_for(Path(tmp_path_factory.mktemp("memory")), dsn)) as server:
        server.add_tenant(
            manifest("alpha", tokenization=TOKENIZATION, rate_limit_per_s=100_000, rate_limit_burst=1_000_000)
        )
        yield server


@pytest.fixture
def worker(live: LiveServer) -> Iterator[tuple[int, str]]:
    """A further worker of it, in a process of its own: its number and its address."""
    settings = live.settings
    urls = [each.reveal() for each in (settings.database_url, settings.key_store_url) if each is not None]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.server.wallets.worker", settings.data_dir, *urls, live.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.pid, process.stdout.readline().strip()
        process.stdin.close()


def fresh_numbers(count: int) -> list[str]:
    """Return numbers that no other process knows, all of which begin alike."""
    return [numbered(f"{BEGINNING}{each:07d}", 16) for each in secrets.SystemRandom().sample(range(10**7), count)]


class TestAWorkersMemory:
    def test_holds_no_card_after_a_thousand(self, live: LiveServer, worker: tuple[int, str]) -> None:
        """Taken in, given out, looked for and refused: none is there in any form, and the search finds what is."""
        pid, url = worker
        numbers = fresh_numbers(CARDS)
        with Billfold(**{**options(live), "base_url": f"{url}/t/alpha"}) as billfold:
            keys = billfold.vault_tokens.encryption_keys()
            for begin in range(0, CARDS, BULK):
                some = numbers[begin : begin + BULK]
                sealed = [
                    seal_card(Card(number=each, expiry_month=12, expiry_year=2030, cvc="123"), keys) for each in some
                ]
                made = billfold.vault_tokens.bulk(
                    [CreateVaultToken(kind=VaultTokenKind.CARD, jwe=each) for each in sealed]
                )
                tokens = [each.vault_token.id for each in made.results if each.vault_token is not None]
                told = billfold.vault_tokens.detokenize_cards(tokens, purpose="charge", reason="Order 4711")
                assert [each.number for each in told if isinstance(each, Card)] == some
            assert billfold.vault_tokens.search_card(number=numbers[0]).data
            with pytest.raises(errors.CardExpired):
                billfold.vault_tokens.create_card(number=numbers[1], expiry_month=1, expiry_year=2020)
            # Those that know the numbers are found out: this process, and one that was told one of them in hex; and the
            # worker's memory is really looked through, for what it does know is there.
            assert found_in(os.getpid(), numbers) == set(numbers)
            assert found_in(pid, [f"{live.url}/t/alpha"])
            assert self.planted(numbers[2]) == {numbers[2]}
            assert found_in(pid, numbers) == set()
            assert billfold.vault_tokens.encryption_keys() == keys

    def planted(self, number: str) -> set[str]:
        """Return what is found in a process that was told a number."""
        program = "import sys; kept = sys.stdin.readline().strip(); print('ready', flush=True); sys.stdin.readline()"
        with subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(number.encode().hex() + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == "ready\n"
            found = found_in(process.pid, [number])
            process.stdin.close()
        return found
