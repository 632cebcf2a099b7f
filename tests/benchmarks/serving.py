"""``billfold up`` with one worker under load from another process, and what its clients send."""

import asyncio
import contextlib
import random
import subprocess
import threading
from collections.abc import Iterator, Sequence
from uuid import uuid4

import httpx
import msgspec

from billfold.contract.clients import ClientMetadata
from billfold_server.http.services import Services
from billfold_server.identity.clients.service import register
from billfold_server.identity.profiles import PROFILES
from billfold_server.serving.tls.authority import Authority
from tests.benchmarks.bank import Bank, books_of, open_bank
from tests.benchmarks.extent import Extent
from tests.benchmarks.gauge import LOAD, Sample
from tests.benchmarks.ground import Ground, processor_s
from tests.benchmarks.loading import PROGRAM, Found, Group, Load, Shown
from tests.benchmarks.presigned import Presigned, sent
from tests.pace import until
from tests.server.identity.tokens.proofs import Prover
from tests.server.upping import Up

__all__ = ["SUCCESSES", "WARM_UP", "Client", "Server", "serving"]

WARM_UP = 0.15
"""Which part of the time answers don't count."""
_PROVEN_PER_S = 1_500
"""How many requests are made ready for each second that is to be measured."""
_PATIENCE_S = 60
SUCCESSES = {200, 201}
_NAME = "bench"
"""What the clients are called."""


class Client:
    """An API client of one tenant, and how it gets its tokens."""

    def __init__(self, url: str, bank: Bank, client_id: str, secret: str | None, shown: Shown | None) -> None:
        self.bank = bank
        self.base = f"/t/{bank.tenant.slug}"
        self._url = f"{url}{self.base}"
        self._token_url = f"{self._url}/oauth/token"
        self._client_id = client_id
        self._auth = None if secret is None else (client_id, secret)
        self._verify = True if shown is None else shown.context()

    def is_known(self) -> bool:
        """Tell whether the server knows the tenant."""
        return self._ask().status_code != httpx.codes.NOT_FOUND

    def token(self, prover: Prover | None = None) -> str:
        """Return a fresh access token, since they last for minutes only; bound to the prover's key, if there is one."""
        # Workers learn of a new tenant within a second or so.
        until(self.is_known)
        headers = {} if prover is None else {"DPoP": prover.proof("POST", self._token_url)}
        answer = self._ask(headers)
        if prover is not None and "dpop-nonce" in answer.headers:
            prover.nonce = answer.headers["dpop-nonce"]
        return str(answer.raise_for_status().json()["access_token"])

    def proven(self, number: int) -> list[bytes]:
        """Return transfers that are ready to be sent, each with a proof of its own that the token is ours (DPoP)."""
        prover = Prover()
        token = self.token(prover)
        url = f"{self._url}/v1/transfers"
        random_ = random.Random(number)
        made = []
        for _ in range(number):
            source, target = random_.sample(self.bank.wallets, 2)
            body = (
                f'{{"from_wallet_id":"{source}","to_wallet_id":"{target}",'
                '"amount":{"amount_minor":1,"currency":"EUR"},"metadata":{"order":"A-4711"}}'
            )
            made.append(
                f"POST {self.base}/v1/transfers HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: DPoP {token}\r\n"
                f"DPoP: {prover.proof('POST', url, token=token)}\r\nIdempotency-Key: {uuid4().hex}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
            )
        return made

    def _ask(self, headers: dict[str, str] | None = None) -> httpx.Response:
        form = {"grant_type": "client_credentials"}
        if self._auth is None:
            form["client_id"] = self._client_id
        return httpx.post(self._token_url, data=form, auth=self._auth, headers=headers, verify=self._verify)

    def group(self, connections: int, *, hot: bool = False, bulk: int = 0, pause_s: float = 0.0) -> Group:
        """Return connections of this client."""
        return Group(
            base=self.base,
            token=self.token(),
            wallets=self.bank.wallets,
            connections=connections,
            hot=hot,
            bulk=bulk,
            pause_s=pause_s,
        )


class Server:
    """``billfold up``, and the server's parts in this process beside it, by which tests look into the books.

    With ``tls`` its clients show certificates, to which their tokens are bound (RFC 8705).
    """

    def __init__(
        self, runner: asyncio.Runner, services: Services, ground: Ground, extent: Extent, *, tls: bool = False
    ) -> None:
        self.runner = runner
        self.services = services
        self.ground = ground
        self.extent = extent
        self.shown: Shown | None = None
        self._tls = tls
        self.up = Up(ground.folder, "--port=0", "--workers=1", *(["--tls"] if tls else []))

    def ready(self) -> None:
        """Wait until it serves."""
        self.up.ready()
        if self._tls:
            made = Authority(self.ground.folder).ensure_client(_NAME)
            self.shown = Shown(self.up.welcome["ca_file"], made.certificate, made.key)

    @property
    def url(self) -> str:
        """Where the clients ask."""
        return str(self.up.welcome["mtls_url" if self._tls else "url"])

    @property
    def port(self) -> int:
        """The port of that address."""
        return int(self.url.rpartition(":")[2])

    def open_client(self, slug: str, wallets: int) -> Client:
        """Open a tenant with wallets that have money, and register a client."""
        bank = self.runner.run(open_bank(self.services, slug, wallets))
        return Client(self.url, bank, *self.runner.run(self._register(bank)), self.shown)

    async def _register(self, bank: Bank) -> tuple[str, str | None]:
        asked = ClientMetadata(
            client_name=_NAME,
            scope="transfers:read transfers:write",
            token_endpoint_auth_method="tls_client_auth" if self._tls else "client_secret_basic",
            tls_client_auth_subject_dn=f"CN={_NAME}" if self._tls else None,
        )
        now, profile = self.services.clock.now(), PROFILES["sandbox"]
        async with self.services.database.tx(bank.tenant) as tx:
            client, secret = await register(tx, self.services.keyring, asked, profile, now=now)
        return client.client_id, secret

    def entries(self, clients: Sequence[Client]) -> int:
        """Return how many journal entries the clients' tenants have, all of whose books must add up."""
        books = [self.runner.run(books_of(self.services, client.bank.tenant)) for client in clients]
        assert all(each.sum_minor == 0 for each in books)
        return sum(each.entries for each in books)

    def load(self, groups: list[Group], *, least_s: float = 0.0) -> "subprocess.Popen[bytes]":
        """Begin to send load from a process of its own.

        Args:
            groups: Who sends what.
            least_s: For how long answers don't count at least, and then do.
        """
        order = Load(
            port=self.port,
            groups=groups,
            seconds=max(self.extent.seconds * (1 - WARM_UP), least_s),
            warm_up_s=max(self.extent.seconds * WARM_UP, least_s),
            shown=self.shown,
        )
        sender = subprocess.Popen(PROGRAM, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert sender.stdin is not None
        sender.stdin.write(msgspec.json.encode(order))
        sender.stdin.close()
        return sender

    def found(self, sender: "subprocess.Popen[bytes]") -> Found:
        """Return what became of a load."""
        with sender:
            assert sender.stdout is not None
            guard = threading.Timer(self.extent.seconds + _PATIENCE_S, sender.kill)
            guard.start()
            said = sender.stdout.read()
            guard.cancel()
        assert sender.returncode == 0
        return msgspec.json.decode(said, type=Found)

    def measure(self, client: Client, *, hot: bool = False, bulk: int = 0) -> Sample:
        """Send transfers for a while, and see that the books have gone on by what was answered."""
        (worker,) = self.up.workers()
        before, worker_s, postgres_s = self.entries([client]), processor_s(worker), self.ground.postgres_s()
        found = self.found(self.load([client.group(self.extent.callers, hot=hot, bulk=bulk)]))
        worker_s, postgres_s = processor_s(worker) - worker_s, self.ground.postgres_s() - postgres_s
        assert set(found.statuses) <= SUCCESSES, found.refused
        answers, items = sum(found.statuses.values()), bulk or 1
        assert self.entries([client]) - before == found.made == answers * items
        return Sample(
            rate=found.counted * items / (self.extent.seconds * (1 - WARM_UP)),
            mean_ms=found.mean_ms,
            p95_ms=found.p95_ms,
            facts={
                "µs of the worker": worker_s / answers / items * 1e6,
                "µs of PostgreSQL": postgres_s / answers / items * 1e6,
                LOAD: found.processor_s / answers / items * 1e6,
            },
        )

    def measure_proven(self, client: Client) -> Sample:
        """Send transfers that carry proofs, made ready before, and see that the books have gone on by as many."""
        requests = client.proven(max(int(self.extent.seconds * _PROVEN_PER_S), self.extent.callers))
        order = Presigned(port=self.port, connections=self.extent.callers, requests=requests)
        (worker,) = self.up.workers()
        before, worker_s, postgres_s = self.entries([client]), processor_s(worker), self.ground.postgres_s()
        outcome = sent(order)
        worker_s, postgres_s = processor_s(worker) - worker_s, self.ground.postgres_s() - postgres_s
        assert outcome.statuses == {201: len(requests)}
        assert self.entries([client]) - before == len(requests)
        return Sample(
            rate=len(requests) / outcome.elapsed_s,
            mean_ms=outcome.mean_ms,
            p95_ms=outcome.p95_ms,
            facts={
                "µs of the worker": worker_s / len(requests) * 1e6,
                "µs of PostgreSQL": postgres_s / len(requests) * 1e6,
                LOAD: outcome.processor_s / len(requests) * 1e6,
            },
        )


@contextlib.contextmanager
def serving(made: Server) -> Iterator[Server]:
    """Have a server up for as long as the block takes."""
    try:
        made.ready()
        yield made
    finally:
        assert made.up.end() == 0, made.up.log()
        made.ground.folder.with_name(f"{made.ground.folder.name}.log").unlink(missing_ok=True)
