"""A tenant with a vault behind ``billfold up``, its keys in a real OpenBao, and requests that are ready to be sent."""

import asyncio
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import httpx
import msgspec

from billfold.contract.tokens import EncryptionKeys
from billfold.tokenization import Card, ResponseKeyPair, seal_card
from billfold_server.http.services import Services
from billfold_server.identity.service import create_client
from billfold_server.tenancy.context import TenantRef
from tests.benchmarks.gauge import Sample
from tests.benchmarks.ground import Ground, processor_s
from tests.benchmarks.presigned import Presigned, sent
from tests.openbao import OpenBao
from tests.pace import until
from tests.server.keys.vault.kit import approle
from tests.server.tokens.banks import fresh_pan
from tests.server.upping import Up
from tests.tenants import manifest

__all__ = ["BULK", "Vault", "opened"]

BULK: Final = 100
_SLUG: Final = "vaulted"
_SCOPES: Final = ("arrangements:write", "tokens:detokenize", "tokens:write")
_PLENTY: Final = 10_000_000
_PURPOSE: Final = {
    "kinds": ["card", "bank_account"],
    "fields": ["number", "expiry"],
    "reveal": "full",
    "clients": ["*"],
    # Limits that nobody reaches: they are counted all the same.
    "per_hour": _PLENTY,
    "per_day": _PLENTY,
    "alarm_per_hour": _PLENTY,
}
_METADATA: Final = {"order": "A-4711"}
_NOTE: Final = 276
"""How long the note of a product is, with which its row is as large as the two rows of a card's token."""

Requests = list[bytes]


class Vault:
    """The tenant, its server, and what is sent to it.

    Attributes:
        port: Where the server listens.
        operations: How many values were taken in and told since ``calls_before`` was noted.
    """

    def __init__(self, runner: asyncio.Runner, services: Services, ground: Ground, openbao: OpenBao, up: Up) -> None:
        self._runner = runner
        self._services = services
        self._ground = ground
        self._openbao = openbao
        self._up = up
        self.port = up.port
        self._base = f"{up.welcome['url']}/t/{_SLUG}"
        self.tenant: TenantRef = runner.run(self._open())
        self._auth = runner.run(self._register())
        until(self._is_known)
        self._keys = msgspec.json.decode(httpx.get(f"{self._base}/v1/encryption-keys").content, type=EncryptionKeys)
        self._response_key = msgspec.to_builtins(ResponseKeyPair().public)
        self.operations = 0

    async def _open(self) -> TenantRef:
        await self._services.tenants.apply(
            manifest(
                _SLUG,
                sandbox=False,
                tokenization={"purposes": {"charge": _PURPOSE}},
                rate_limit_per_s=100_000,
                rate_limit_burst=1_000_000,
            )
        )
        return await self._services.registry.get(_SLUG)

    async def _register(self) -> tuple[str, str]:
        async with self._services.database.tx(self.tenant) as tx:
            client, secret = await create_client(
                tx, self._services.keyring, name="bench", scopes=list(_SCOPES), now=self._services.clock.now()
            )
        return client.client_id, secret

    def _is_known(self) -> bool:
        return self._token().status_code == httpx.codes.OK

    def _token(self) -> httpx.Response:
        form = {"grant_type": "client_credentials"}
        return httpx.post(f"{self._base}/oauth/token", data=form, auth=self._auth)

    # Requests that are ready.

    def _ready(self, path: str, bodies: Sequence[Any], *, keyed: bool = True) -> Requests:
        token = self._token().raise_for_status().json()["access_token"]
        head = (
            f"POST /t/{_SLUG}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\n"
        )

        def ready(said: Any) -> bytes:
            key = f"Idempotency-Key: {secrets.token_hex(16)}\r\n" if keyed else ""
            body = msgspec.json.encode(said)
            return f"{head}{key}Content-Length: {len(body)}\r\n\r\n".encode() + body

        return [ready(each) for each in bodies]

    def inserts(self, count: int) -> Requests:
        """Return requests for products, each of which is one row with its event and its audit record."""
        body = {"name": "Everyday", "type": "other", "description": "A wallet for all days", "notes": ["n" * _NOTE]}
        return self._ready("/v1/products", [body] * count)

    def cards(self, count: int) -> Requests:
        """Return cards that the vault doesn't know yet, each in a request of its own."""
        return self._ready("/v1/vault-tokens", [self._card() for _ in range(count)])

    def accounts(self, count: int) -> Requests:
        """Return bank accounts that the vault doesn't know yet, plain, each in a request of its own."""
        return self._ready("/v1/vault-tokens", [_account() for _ in range(count)])

    def bulks_of_cards(self, count: int) -> Requests:
        """Return as many requests of a hundred such cards."""
        bodies = [{"vault_tokens": [self._card() for _ in range(BULK)]} for _ in range(count)]
        return self._ready("/v1/vault-tokens/bulk", bodies)

    def asking(self, tokens: Sequence[str], size: int = 1) -> Requests:
        """Return requests for the values of tokens, so many in each; a card comes encrypted to a key of ours."""
        parts = [tokens[begin : begin + size] for begin in range(0, len(tokens), size)]
        asked = {"purpose": "charge", "reason": "a charge of order A-4711", "response_key": self._response_key}
        return self._ready(
            "/v1/vault-tokens/detokenize", [{"vault_token_ids": each, **asked} for each in parts], keyed=False
        )

    def _card(self) -> dict[str, Any]:
        card = Card(number=fresh_pan(), expiry_month=12, expiry_year=2030, holder="Ada Lovelace")
        return {"kind": "card", "jwe": seal_card(card, self._keys), "metadata": _METADATA}

    def tokens(self, count: int) -> list[str]:
        """Take cards in, and return the tokens that nobody has asked for yet."""
        made: list[str] = []
        token = self._token().raise_for_status().json()["access_token"]
        with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
            while len(made) < count:
                body = {"vault_tokens": [self._card() for _ in range(min(BULK, count - len(made)))]}
                answer = client.post(f"{self._base}/v1/vault-tokens/bulk", json=body).raise_for_status()
                made += [each["vault_token"]["id"] for each in answer.json()["results"]]
        return made

    # Measuring.

    def measure(
        self, make: Callable[[int], Requests], count: int, *, status: int, connections: int, size: int = 1
    ) -> Sample:
        """Send requests, and see that each was answered as it should be and that the tables have grown accordingly.

        Args:
            make: Makes so many requests ready.
            count: How many.
            status: What each is answered with.
            connections: On how many connections they are sent.
            size: How many values each has.
        """
        requests = make(count)
        (worker,), decryptor = self._up.workers(), self._up.decryptor()
        assert decryptor is not None
        rows, spent = self._rows(), self._spent(worker, decryptor)
        order = Presigned(port=self.port, connections=connections, requests=requests)
        outcome = sent(order)
        spent = [after - before for before, after in zip(spent, self._spent(worker, decryptor), strict=True)]
        values = len(requests) * size
        assert outcome.statuses == {status: len(requests)}
        # Whatever was done stands in the audit, value by value.
        assert self._rows() - rows == values
        self.operations += values
        names = ("the worker", "the decryptor", "PostgreSQL")
        return Sample(
            rate=values / outcome.elapsed_s,
            mean_ms=outcome.mean_ms,
            p95_ms=outcome.p95_ms,
            facts={f"µs of {name}": each / values * 1e6 for name, each in zip(names, spent, strict=True)},
        )

    def _spent(self, worker: int, decryptor: int) -> list[float]:
        return [processor_s(worker), processor_s(decryptor), self._ground.postgres_s()]

    def _rows(self) -> int:
        sql = "SELECT count(*) FROM audit_records WHERE action = ANY ($1::text[])"
        actions = ["product.created", "vault_token.created", "vault_token.detokenized"]
        return int(self._runner.run(self._value(sql, actions)))

    def row_bytes(self, *tables: str) -> float:
        """Return how many bytes a row of each of some tables has, added up."""
        sizes = [f"(SELECT avg(pg_column_size(t.*)) FROM {table} AS t)" for table in tables]  # noqa: S608
        return float(self._runner.run(self._value(f"SELECT {' + '.join(sizes)}")))

    async def _value(self, sql: str, *arguments: object) -> Any:
        async with self._services.database.tx(self.tenant, statement_timeout_ms=600_000) as tx:
            return await tx.fetchval(sql, *arguments)

    def calls(self) -> int:
        """Return how many requests OpenBao has handled by its own count; looks at its health aren't among them."""
        answer = httpx.get(
            f"{self._openbao.url}/v1/sys/metrics",
            params={"format": "prometheus"},
            headers={"X-Vault-Token": str(self._openbao.root.token)},
        )
        found = re.search(r"^vault_core_handle_request_count (\d+)", answer.text, re.MULTILINE)
        assert found is not None, answer.text
        return int(found[1])


def _account() -> dict[str, Any]:
    number = f"{secrets.randbelow(10**18):018d}"
    check = 98 - int(f"{number}131400") % 97
    account = {"iban": f"DE{check:02d}{number}", "holder": "Ada Lovelace"}
    return {"kind": "bank_account", "bank_account": account, "metadata": _METADATA}


@contextmanager
def opened(runner: asyncio.Runner, services: Services, ground: Ground, openbao: OpenBao) -> Iterator[Vault]:
    """Open a tenant on a server with one worker and its decryptor, whose keys lie in OpenBao, until the block ends."""
    settings = approle(openbao, ground.folder)
    login = {f"BILLFOLD_{name.upper()}": value for name, value in settings.items()}
    login["BILLFOLD_VAULT_CARDS_SECRET_ID_FILE"] = (decryptor := approle(openbao, ground.folder, "billfold-decryptor"))[
        "vault_secret_id_file"
    ]
    login["BILLFOLD_VAULT_CARDS_ROLE_ID"] = decryptor["vault_role_id"]
    up = Up(
        ground.folder,
        "--port=0",
        "--workers=1",
        BILLFOLD_KEY_BACKEND="vault",
        BILLFOLD_VAULT_ADDRESS=openbao.url,
        **login,
    ).ready()
    try:
        yield Vault(runner, services, ground, openbao, up)
    finally:
        assert up.end() == 0, up.log()
        ground.folder.with_name(f"{ground.folder.name}.log").unlink(missing_ok=True)
