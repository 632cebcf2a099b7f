"""Open banking: a page of transactions and a domestic payment, against the same asked of ``/v1``, in one run.

Third parties get each token for a code of its own from the worker that they show it to. It is bound to a key, there is
a proof with each request, and payments are signed; the bank looks at the consent
in the request's own transaction, and signs what it answers to a payment. The equivalents have none of that: bearer
tokens of a client of the bank's own, which orders the same payment by ``POST /v1/payments``. A transfer, which keeps no
order and tells of no payment, stands beside them. Requests are made ready before, so that only the server is measured.
"""

import asyncio
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx
import msgspec
import pytest
from authlib.oauth2.rfc7636.challenge import create_s256_code_challenge
from joserfc import jws

from billfold import ids
from billfold.contract.clients import ClientMetadata
from billfold.contract.open_banking.payments import OBWriteDomesticConsent4
from billfold.ids import Prefix
from billfold_server.consents import service as consents
from billfold_server.consents.service import ConsentKind, Evidence, NewConsent, Owner
from billfold_server.http.services import Services
from billfold_server.identity import jose
from billfold_server.identity.authorization import codes
from billfold_server.identity.clients import service as clients
from billfold_server.identity.clients.private_key_jwt import TYPE
from billfold_server.identity.service import open_grant
from billfold_server.identity.tokens import access_tokens
from billfold_server.identity.tokens.access_tokens import Claims
from billfold_server.open_banking.payments import reading
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller
from tests.benchmarks.bank import Bank, open_bank
from tests.benchmarks.extent import Extent
from tests.benchmarks.filling import fill
from tests.benchmarks.gauge import Gauge, Measured, Report, Sample
from tests.benchmarks.ground import Ground, family_s
from tests.benchmarks.test_identity import send
from tests.pace import until
from tests.server.identity.clients_of import key_for, public_jwk
from tests.server.identity.tokens.proofs import Prover
from tests.server.open_banking.signing import header_of, signature_of
from tests.server.upping import Up

pytestmark = pytest.mark.timeout(0)

_SLUG: Final = "openbanking"
_ROWS: Final = 1_000_000
_CONNECTIONS: Final = 32
_PER_S: Final = {"page": 500, "payment": 800}
"""How many requests are made ready for each second that is to be measured."""
_PERMISSIONS: Final = frozenset(
    {"ReadAccountsDetail", "ReadTransactionsDetail", "ReadTransactionsCredits", "ReadTransactionsDebits"}
)
_REDIRECT_URI: Final = "https://bench.example/back"
_VERIFIER: Final = secrets.token_urlsafe(32)
_V4: Final = "/open-banking/v4.0"
_OF_THE_BANK: Final = "wallets:read transfers:write payments:write"
_OF_WORKER: Final = "µs of the worker"
_OF_POSTGRES: Final = "µs of PostgreSQL"


@dataclass(frozen=True)
class Server:
    """A process that is asked over HTTP, on the same machine as its PostgreSQL."""

    port: int
    pid: int
    ground: Ground

    def answer(self, requests: list[bytes], *, status: int) -> Sample:
        """Let it answer requests, and say also what an answer has cost."""
        server_s, postgres_s = family_s(self.pid), self.ground.postgres_s()
        sample = send(self.port, requests, status=status, connections=_CONNECTIONS)
        sample.facts[_OF_WORKER] = (family_s(self.pid) - server_s) / len(requests) * 1e6
        sample.facts[_OF_POSTGRES] = (self.ground.postgres_s() - postgres_s) / len(requests) * 1e6
        return sample


class Party:
    """A third party and the bank that it asks, both in this process as far as consents go."""

    def __init__(self, runner: asyncio.Runner, services: Services, bank: Bank, up: Up, ground: Ground) -> None:
        self._runner = runner
        self._services = services
        self.bank = bank
        (worker,) = up.workers()
        self.server = Server(up.port, worker, ground)
        self.base = f"{up.welcome['url']}/t/{_SLUG}"
        self.key = key_for("PS256")
        self.prover = Prover()
        self.client_id = self._register()
        self.wire_id = ids.encode(Prefix.CLIENT, self.client_id)
        self.owner = runner.run(self._customer())
        self.plain = runner.run(self._plain_token())

    def _register(self) -> UUID:
        services, tenant = self._services, self.bank.tenant
        asked = ClientMetadata(
            client_name="bench",
            token_endpoint_auth_method="private_key_jwt",
            scope=f"accounts payments {_OF_THE_BANK}",
            grant_types=["authorization_code", "client_credentials"],
            redirect_uris=[_REDIRECT_URI],
            jwks={"keys": [public_jwk(self.key, "bench")]},
        )

        async def register() -> UUID:
            profile = services.identity.realm(tenant).profile
            async with services.database.tx(tenant) as tx:
                client, _ = await clients.register(tx, services.keyring, asked, profile, now=services.clock.now())
            return client.id

        return self._runner.run(register())

    async def _customer(self) -> Owner:
        """Let the party that has the wallets sign in."""
        user_id, now = ids.uuid7(), self._services.clock.now()
        async with self._services.database.tx(self.bank.tenant) as tx:
            party_id = await tx.fetchval("SELECT id FROM parties LIMIT 1")
            await tx.execute(
                "INSERT INTO users (id, login_realm, login_name, display_name, party_id, roles, state, handle, version,"
                " created_at, updated_at) VALUES ($1, 'psu', 'bench', 'Bench', $2, '{}', 'active', $3, 1, $4, $4)",
                user_id, party_id, secrets.token_bytes(32), now,
            )  # fmt: skip
        return Owner(user_id=user_id, party_id=party_id)

    async def _plain_token(self) -> str:
        """Return a token of the bank's own client, which nothing binds."""
        identity, now = self._services.identity, int(time.time())
        claims = Claims(
            iss=self.base,
            sub=self.wire_id,
            client_id=self.wire_id,
            aud=f"{self.base}/v1",
            scope=_OF_THE_BANK,
            jti=secrets.token_urlsafe(16),
            iat=now,
            exp=now + 3600,
        )
        return await identity.signing.sign(identity.realm(self.bank.tenant), claims, typ=access_tokens.TYPE)

    def _redeemed(self, agreed: list[str]) -> list[str]:
        """Return the tokens that the server gives for codes."""
        url, tokens = f"{self.base}/oauth/token", []
        with httpx.Client() as client:
            for code in agreed:
                now = int(time.time())
                said = {"iss": self.wire_id, "sub": self.wire_id, "aud": self.base, "iat": now, "exp": now + 60}
                said["jti"] = secrets.token_urlsafe(16)
                assertion = jose.sign(said, self.key, alg="PS256", kid="bench", typ="JWT")
                form = {"grant_type": "authorization_code", "code": code, "code_verifier": _VERIFIER}
                form |= {"redirect_uri": _REDIRECT_URI, "client_assertion": assertion, "client_assertion_type": TYPE}
                answer = client.post(url, data=form, headers={"DPoP": self.prover.proof("POST", url)})
                assert answer.status_code == httpx.codes.OK, answer.text
                tokens.append(str(answer.json()["access_token"]))
        return tokens

    async def agree(self, kind: ConsentKind, scope: str, **asked: Any) -> tuple[UUID, str]:
        """Return a consent that its customer has authorised with the first wallet, and a code for a token of it."""
        services, tenant, now = self._services, self.bank.tenant, self._services.clock.now()
        owner = self.owner
        prepared = await consents.prepare(services, tenant, NewConsent(kind=kind, client_id=self.client_id, **asked))
        shown = Evidence(shown=b"{}", text_version="1", language="en", shown_at=now)
        evidence = await consents.seal_evidence(services, tenant, prepared.id, owner.party_id, shown)
        wallet = ids.decode(Prefix.WALLET, self.bank.wallets[0])
        async with services.database.tx(tenant) as tx:
            caller = Caller(actor="bench", client_id=self.client_id)
            consent = await consents.create(tx, caller, prepared, await tenant_now(tx))
            await consents.authorise(
                tx, consent.id, client_id=self.client_id, owner=owner, wallet_ids=(wallet,), sca_id=ids.uuid7(),
                evidence=evidence, now=await tenant_now(tx),
            )  # fmt: skip
            grant = await open_grant(
                tx, client_id=self.client_id, user_id=owner.user_id, scopes=[scope], auth_time=now, now=now,
                consent_id=consent.id,
            )  # fmt: skip
            code = await codes.create(
                tx, client_id=self.client_id, grant_id=grant, redirect_uri=_REDIRECT_URI,
                code_challenge=create_s256_code_challenge(_VERIFIER), scopes=[scope], now=now,
            )  # fmt: skip
        return consent.id, code

    # Requests that are ready.

    def to_read(self) -> str:
        """Return a token to read the first wallet."""
        _, code = self._runner.run(self.agree("account_access", "accounts", permissions=_PERMISSIONS))
        (token,) = self._redeemed([code])
        return token

    def pages(self, count: int) -> list[bytes]:
        """Return requests for the first page of transactions."""
        token = self.to_read()
        path = f"{_V4}/aisp/accounts/{self.bank.wallets[0]}/transactions"
        return [self._bound("GET", path, token) for _ in range(count)]

    def plain_pages(self, count: int) -> list[bytes]:
        """Return requests for the same of the wallet's statement."""
        path = f"/v1/wallets/{self.bank.wallets[0]}/statement?currency=EUR&limit=100"
        return [_ready("GET", path, {"Authorization": f"Bearer {self.plain}"})] * count

    def payments(self, count: int) -> list[bytes]:
        """Return orders of payments, each under a consent of its own."""

        async def agree() -> list[tuple[dict[str, Any], str]]:
            made = []
            for _ in range(count):
                request = self._request()
                read = msgspec.convert(request, OBWriteDomesticConsent4)
                consent, code = await self.agree(
                    "domestic_payment", "payments", amount_minor=1, currency="EUR",
                    request=msgspec.json.encode(request),
                    terms=msgspec.json.encode(reading.Terms(refund=False)),
                    repeated=reading.repeated(read.data.initiation, read.risk),
                )  # fmt: skip
                data = {"ConsentId": ids.encode(Prefix.CONSENT, consent), **request["Data"]}
                made.append(({"Data": data, "Risk": request["Risk"]}, code))
            return made

        made = self._runner.run(agree())
        tokens = self._redeemed([code for _, code in made])
        return [self._payment(body, token) for (body, _), token in zip(made, tokens, strict=True)]

    def _request(self) -> dict[str, Any]:
        payee = {"SchemeName": "UK.OBIE.Wallet", "Identification": self.bank.wallets[1], "Name": "Bench"}
        initiation = {
            "InstructionIdentification": secrets.token_hex(10),
            "EndToEndIdentification": secrets.token_hex(10),
            "InstructedAmount": {"Amount": "0.01", "Currency": "EUR"},
            "CreditorAccount": payee,
        }
        return {"Data": {"Initiation": initiation}, "Risk": {"PaymentContextCode": "TransferToSelf"}}

    def _payment(self, said: dict[str, Any], token: str) -> bytes:
        body = msgspec.json.encode(said)
        headers = {
            "Content-Type": "application/json",
            "x-idempotency-key": secrets.token_hex(16),
            "x-jws-signature": signature_of(body, self.key, header_of("bench", self.wire_id)),  # type: ignore[arg-type]
        }
        return self._bound("POST", f"{_V4}/pisp/domestic-payments", token, headers, body)

    def plain_payments(self, count: int) -> list[bytes]:
        """Return orders of the same payments, as the bank's own client gives them."""
        source, target = self.bank.wallets[:2]
        order = {
            "wallet_id": source,
            "amount": {"amount_minor": 1, "currency": "EUR"},
            "creditor": {"scheme": "wallet", "identification": target, "name": "Bench"},
        }

        def named() -> dict[str, Any]:
            return {**order, "instruction_id": secrets.token_hex(10), "end_to_end_id": secrets.token_hex(10)}

        return [self._plain("/v1/payments", msgspec.json.encode(named())) for _ in range(count)]

    def transfers(self, count: int) -> list[bytes]:
        """Return transfers of as much between the same wallets."""
        source, target = self.bank.wallets[:2]
        body = msgspec.json.encode(
            {"from_wallet_id": source, "to_wallet_id": target, "amount": {"amount_minor": 1, "currency": "EUR"}}
        )
        return [self._plain("/v1/transfers", body) for _ in range(count)]

    def _plain(self, path: str, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.plain}"}
        return _ready("POST", path, {**headers, "Idempotency-Key": secrets.token_hex(16)}, body)

    def _bound(
        self, method: str, path: str, token: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> bytes:
        proof = self.prover.proof(method, f"{self.base}{path}", token=token)
        return _ready(method, path, {"Authorization": f"DPoP {token}", "DPoP": proof, **(headers or {})}, body)

    def knows_the_nonce(self) -> bool:
        """Tell whether the server answers, and remember the nonce that it wants in proofs."""
        url = f"{self.base}/oauth/token"
        answer = httpx.post(url, headers={"DPoP": self.prover.proof("POST", url)}, data={"grant_type": "none"})
        self.prover.nonce = answer.headers.get("dpop-nonce", self.prover.nonce)
        return answer.status_code in {400, 401}


def _ready(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    said = {"Host": "127.0.0.1", **headers, **({"Content-Length": str(len(body))} if body else {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
    return f"{method} /t/{_SLUG}{path} HTTP/1.1\r\n{lines}\r\n".encode() + body


@pytest.fixture(scope="module")
def party(runner: asyncio.Runner, services: Services, ground: Ground, extent: Extent) -> Iterator[Party]:
    """A server that is up, a wallet with a million transactions, and a third party."""
    bank = runner.run(open_bank(services, _SLUG, 2, funded=False))
    # Each entry moves money between the two wallets, so that it stands in the history of both.
    runner.run(fill(services, ground.dsn(), bank, min(2 * _ROWS, extent.postings)))
    up = Up(ground.folder, "--port=0", "--workers=1").ready()
    try:
        made = Party(runner, services, bank, up, ground)
        until(made.knows_the_nonce)
        yield made
    finally:
        assert up.end() == 0, up.log()
        ground.folder.with_name(f"{ground.folder.name}.log").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def minimal(party: Party, ground: Ground) -> Iterator[Server]:
    """A handler written by hand, which does the signatures of a payment and nothing else."""
    kid = jws.extract_compact(party.to_read().encode()).headers()["kid"]
    keys: dict[str, Any] = {}

    def is_published() -> bool:
        keys.update({key["kid"]: key for key in httpx.get(f"{party.base}/.well-known/jwks.json").json()["keys"]})
        return kid in keys

    until(is_published)
    order = {"client": public_jwk(party.key, "bench"), "issued": keys[kid]}
    program = [sys.executable, str(Path(__file__).with_name("verifying.py"))]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        yield Server(int(process.stdout.readline()), process.pid, ground)
        process.terminate()


def report_equivalents(report: Report, name: str, ours: Measured, theirs: Measured) -> None:
    """Say how what is asked of open banking compares with the same of ``/v1``."""
    report.variant(name, ours)
    report.variant("… the same of /v1", theirs)
    report.against("… against that", ours, theirs, asked="0.7")


class TestOpenBanking:
    """Over HTTP, at 32 connections."""

    def test_costs_little_more_than_the_same_of_v1(
        self, gauge: Gauge, report: Report, extent: Extent, party: Party, minimal: Server
    ) -> None:
        """Pages of 100 transactions and domestic payments, each against its equivalent of ``/v1``."""

        def measured(
            kind: str, make: Callable[[int], list[bytes]], status: int, server: Server = party.server
        ) -> Callable[[], Sample]:
            count = max(int(extent.seconds * _PER_S[kind]), _CONNECTIONS)
            return lambda: server.answer(make(count), status=status)

        found = gauge.interleave(
            "open banking",
            {
                "page": measured("page", party.pages, 200),
                "page of /v1": measured("page", party.plain_pages, 200),
                "payment": measured("payment", party.payments, 201),
                "payment of /v1": measured("payment", party.plain_payments, 201),
                "transfer of /v1": measured("payment", party.transfers, 201),
                "signatures": measured("payment", party.payments, 200, minimal),
            },
        )
        report_equivalents(report, "100 of a million transactions, open banking", found["page"], found["page of /v1"])
        report_equivalents(report, "Domestic payment, open banking", found["payment"], found["payment of /v1"])
        report.variant("… a transfer of /v1", found["transfer of /v1"])
        report.against("… against that", found["payment"], found["transfer of /v1"])
        report.variant("… its signatures alone, by hand", found["signatures"])
        # A payment of open banking has four signatures, which one of /v1 has not.
        names = ("payment of /v1", "signatures", "payment")
        plain, signed, ordered = ([sample for sample, _, _ in found[name].rounds] for name in names)
        both = [1 / (1 / ours.rate + 1 / theirs.rate) for ours, theirs in zip(plain, signed, strict=True)]
        rates = [sample.rate for sample in ordered]
        report.ratio("… against the two one after the other", [a / b for a, b in zip(rates, both, strict=True)])
        both = [ours.cost_us + theirs.cost_us for ours, theirs in zip(plain, signed, strict=True)]
        costs = [sample.cost_us for sample in ordered]
        report.ratio("… by processor time", [a / b for a, b in zip(both, costs, strict=True)])
