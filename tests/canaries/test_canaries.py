"""Card numbers that are brought into a server in every way are found nowhere afterwards.

``nox -s canaries`` does it with a hundred thousand of them, in every place of every operation. Without, each operation
is asked a few times.
"""

import asyncio
import http.client
import json
import os
import random
import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, cycle, islice

import asyncpg
import httpx
import pytest

from billfold import Billfold, errors
from billfold.contract.tokens import CreateVaultToken, VaultTokenKind
from billfold.tokenization import Card, seal_card
from billfold_server.db.embedded import DEFAULT_MAJOR, EmbeddedPostgres
from tests.canaries.scanner import Canaries, Find, all_finds, memory_of
from tests.canaries.singing import Way, ways
from tests.contract.seeds import SEEDS, Seeds
from tests.pace import until
from tests.postgres import binaries
from tests.processes import children
from tests.server.upping import Up, billfold, data_dirs

MANY = int(os.environ.get("BILLFOLD_CANARIES") or 0)
"""How many canaries there are in all; 0 is as many as CI has time for."""
CARDS = MANY // 5 or 100
AT_ONCE = 50
SINGERS = 4
SLUG = "sandbox"
UNUSED = ["con", "apr", "ptn", "arr", "whd", "ast", "sti", "ste"]
"""What takes longer to make than it is worth here."""

pytestmark = [
    pytest.mark.xdist_group("canaries"),
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc/<pid>/mem"),
]


class Server:
    """A server that runs, and all places where something may be left by it."""

    def __init__(self, up: Up, postgres: EmbeddedPostgres) -> None:
        self.up = up
        self.canaries = Canaries()
        self.postgres = postgres
        self.answers: set[tuple[str, Find]] = set()
        self.statuses: Counter[int] = Counter()

    def client(self) -> httpx.Client:
        """Return a client of the sandbox, with every scope."""
        headers = {"Authorization": f"Bearer {self.up.token()}"}
        return httpx.Client(base_url=self.up.welcome["base_url"], headers=headers, timeout=60)

    def operator(self) -> str:
        """Return an access token of the platform, with every scope."""
        data = {"BILLFOLD_DATA_DIR": str(self.up.data_dir)}
        done = billfold("clients", "create", "--platform", "--scope", "all", "--auth-method", "client_secret_basic",
                        "--json", **data)  # fmt: skip
        assert done.returncode == 0, done.stderr
        made = json.loads(done.stdout)
        answer = httpx.post(
            f"{self.up.welcome['url']}/platform/oauth/token",
            data={"grant_type": "client_credentials"},
            auth=(made["client_id"], made["client_secret"]),
        )
        return str(answer.raise_for_status().json()["access_token"])

    def sdk(self) -> Billfold:
        """Return the SDK's client of the sandbox."""
        told = self.up.welcome
        return Billfold(base_url=told["base_url"], client_id=told["client_id"], client_secret=told["client_secret"])

    def sing(self, chosen: Sequence[Way]) -> None:
        """Ask all of it, a new number each, and look at every answer."""
        port = self.up.port

        def some(mine: Sequence[Way]) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            for way in mine:
                self._ask(connection, way)
            connection.close()

        with ThreadPoolExecutor(SINGERS) as threads:
            for _ in threads.map(some, [chosen[each::SINGERS] for each in range(SINGERS)]):
                pass

    def _ask(self, connection: http.client.HTTPConnection, way: Way) -> None:
        number = self.canaries.make()
        request = way.request(_written(number))
        for patience in range(3):
            try:
                connection.putrequest(request.method, request.target, skip_host="Host" in request.headers)
                for name, value in request.headers.items():
                    connection.putheader(name, value)
                if request.body is not None:
                    connection.putheader("Content-Length", str(len(request.body)))
                connection.endheaders(request.body)
                answer = connection.getresponse()
                heard = b"\n".join([str(answer.headers).encode(), answer.read()])
            except (http.client.HTTPException, ConnectionError):
                # Some of what is asked is no HTTP, and hung up on.
                connection.close()
                self.statuses[0] += 1
                return
            if answer.status != 429 or patience == 2:
                break
            time.sleep(0.3)
        self.statuses[answer.status] += 1
        self.answers |= {(f"{way.operation}: {way.place}", find) for find in self.canaries.found_in(heard)}

    def left(self) -> dict[str, str]:
        """Return where numbers were left outside of memory, and in which forms."""
        found: dict[str, set[Find]] = self.canaries.found_in_folder(self.up.data_dir)
        found["log"] = self.canaries.found_in(self.up.log().encode())
        found["metrics"] = self.canaries.found_in(httpx.get(f"{self.up.welcome['url']}/metrics").content)
        for database in asyncio.run(_databases(self.postgres.dsn("postgres"))):
            found[f"dump of {database}"] = self.canaries.found_in(_dumped(self.postgres.dsn(database)))
        return {where: all_finds(finds) for where, finds in found.items() if finds}

    def held(self, pids: Sequence[int]) -> set[Find]:
        """Return which numbers processes hold in memory; what they share is looked at once."""
        pieces = chain.from_iterable(memory_of(pid, private=bool(place)) for place, pid in enumerate(pids))
        return self.canaries.found_in_pieces(pieces)

    def knows(self, pid: int) -> bool:
        """Tell whether a process holds any number in memory."""
        return self.canaries.any_in_pieces(memory_of(pid))

    def of_postgres(self) -> list[int]:
        """Return the processes of the database."""
        main = self.up.postmaster()
        return [main, *children(main)]


def _written(number: str) -> str:
    return random.choice(
        [
            number,
            f"{number[:4]} {number[4:8]} {number[8:12]} {number[12:]}",
            "-".join([number[:4], number[4:10], number[10:]]),
        ]
    )


async def _databases(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        # What is in memory alone gets into the files.
        await connection.execute("CHECKPOINT")
        rows = await connection.fetch("SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1")
        return [row["datname"] for row in rows if row["datname"] != "template1"]
    finally:
        await connection.close()


def _dumped(dsn: str) -> bytes:
    tool = binaries(DEFAULT_MAJOR) / "pg_dump"
    return subprocess.run([str(tool), dsn], check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with one worker, behind a proxy whose ids of requests it takes, that logs whatever it can."""
    binaries(18)
    with data_dirs() as give:
        up = Up(
            give(),
            "--port=0",
            "--workers=1",
            BILLFOLD_LOG_LEVEL="debug",
            BILLFOLD_TRUSTED_PROXIES="127.0.0.1/32",
        )
        up.ready()
        with EmbeddedPostgres(up.data_dir) as postgres:
            yield Server(up, postgres)
        assert up.end() == 0, up.log()


def seeds_of(client: httpx.Client) -> Seeds:
    """Return what the sandbox holds, of every kind that is made quickly."""
    seeds = Seeds(client, str, str)
    for prefix, make in SEEDS.items():
        if prefix not in UNUSED:
            seeds.replace(prefix, [make(seeds) for _ in range(3)])
    return seeds


class TestACardThatComesAsItShould:
    def test_is_nowhere_in_plain(self, server: Server) -> None:
        """Taken in, told, sought and refused: none is in the memory of worker or database, nor anywhere else."""
        worker = server.up.workers()
        with server.sdk() as sdk:
            keys = sdk.vault_tokens.encryption_keys()
            for _ in range(0, CARDS, AT_ONCE):
                numbers = [server.canaries.make() for _ in range(AT_ONCE)]
                cards = [
                    Card(number=each, expiry_month=12, expiry_year=2030, cvc="1234"[: 19 - len(each)])
                    for each in numbers
                ]
                items = [CreateVaultToken(kind=VaultTokenKind.CARD, jwe=seal_card(each, keys)) for each in cards]
                made = sdk.vault_tokens.bulk(items)
                tokens = [each.vault_token.id for each in made.results if each.vault_token is not None]
                told = sdk.vault_tokens.detokenize_cards(tokens, purpose="charge", reason="Order 4711")
                assert [each.number for each in told if isinstance(each, Card)] == numbers
            assert sdk.vault_tokens.search_card(number=numbers[0]).data
            with pytest.raises(errors.CardExpired):
                sdk.vault_tokens.create_card(number=server.canaries.make(), expiry_month=1, expiry_year=2020)
            session = sdk.card_sessions.create(return_url="https://shop.example/back")
            jwe = seal_card(Card(number=server.canaries.make(), expiry_month=12, expiry_year=2030), keys)
            answer = httpx.post(str(session.url), data={"jwe": jwe})
            assert answer.status_code == 303, answer.text
        assert server.up.workers() == worker
        assert server.knows(os.getpid()), "the search finds what is there"
        assert server.held(worker) == set()
        assert server.held(server.of_postgres()) == set()
        assert server.left() == {}


class TestACardThatComesAnywhereElse:
    def test_is_kept_nowhere(self, server: Server) -> None:
        """In every field, path, query, header and broken body: in no answer, log, metric, table, file or WAL."""
        tokens = {"tenant": server.up.token()} | ({"platform": server.operator()} if MANY else {})
        with server.client() as client:
            every = list(ways(SLUG, tokens, seeds_of(client).real))
            began = time.monotonic()
            server.sing(chosen(every))
            took_s = time.monotonic() - began
            marker = secrets.token_hex(10)
            client.get("/v1/wallets", headers={"X-Request-Id": marker})
            until(lambda: client.get(f"/v1/requests/{marker}").status_code == 200)
        told = ", ".join(f"{count} {status}" for status, count in sorted(server.statuses.items()))
        print(f"\n{len(server.canaries):,} card numbers by {len(every):,} ways, {took_s:.0f} s: {told}")
        if MANY:
            # What came in plain was in the worker's memory, and is there until its place is used again.
            left = len({each.number for each in server.held(server.up.workers())})
            print(f"{left:,} of those that came in plain are in the worker's freed memory")
        assert {200, 201, 303, 400, 401, 403, 404, 415} <= server.statuses.keys(), "what fails and what doesn't"
        # A database that stands still for two seconds is away, as any server says then.
        unheard = server.statuses[0] + server.statuses[429] + server.statuses[503]
        assert unheard < server.statuses.total() / 10, "they were listened to"
        assert not [status for status in server.statuses if status >= 500 and status != 503]
        assert server.answers == set()
        assert server.left() == {}
        assert server.held(server.of_postgres()) == set()


def chosen(every: Sequence[Way]) -> Sequence[Way]:
    """Return as many ways as there is time for: all of them, again and again, or two of each operation."""
    mixed = random.sample(every, len(every))
    if MANY:
        return list(islice(cycle(mixed), MANY - CARDS))
    of: dict[str, list[Way]] = {}
    for way in mixed:
        of.setdefault(way.operation, []).append(way)
    return [way for some in of.values() for way in some[:2]]
