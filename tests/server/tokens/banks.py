"""A bank that uses its vault."""

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx
import msgspec

from billfold.contract.tokens import EncryptionKeys
from billfold.tokenization import Card, ResponseKeyPair, seal_card
from tests.live import LiveServer
from tests.server.tokens.faults import Watched

__all__ = ["IBAN", "PAN", "TOKENIZATION", "Bank", "fresh_pan"]

T = TypeVar("T")

PAN = "4111111111111111"
IBAN = "DE89370400440532013000"

TOKENIZATION: dict[str, Any] = {
    "personal": {
        "tax_id": {"pattern": "[0-9]{11}", "searchable": True},
        "birthday": {"pattern": "[0-9]{4}-[0-9]{2}-[0-9]{2}"},
    },
    "purposes": {
        "payout": {
            "kinds": ["bank_account", "personal"],
            "personal_types": ["tax_id"],
            "reveal": "full",
            "clients": ["*"],
            "roles": ["custodian"],
            "single_use": True,
        },
        "charge": {
            "kinds": ["card"],
            "fields": ["number", "expiry", "cvc"],
            "reveal": "full",
            "clients": ["*"],
            "single_use": True,
        },
        "look": {"kinds": ["card", "bank_account"], "clients": ["*"], "roles": ["custodian"]},
        "lasting": {"kinds": ["bank_account"], "reveal": "full", "clients": ["*"]},
        "scarce": {
            "kinds": ["bank_account"],
            "reveal": "full",
            "clients": ["*"],
            "per_hour": 5,
            "per_day": 5,
            "alarm_per_hour": 3,
        },
        "staff_only": {"kinds": ["bank_account"], "reveal": "full", "roles": ["custodian"]},
        "scoped": {"kinds": ["bank_account"], "reveal": "full", "clients": ["*"], "scopes": ["parties:write"]},
    },
    "searches_per_hour": 500,
}


class Bank:
    """A client of a tenant, and the decryptor behind it.

    Attributes:
        key: Its own key, to which cards are told.
    """

    def __init__(self, live: LiveServer, client: httpx.Client, decryptor: Watched) -> None:
        self.live = live
        self.client = client
        self.decryptor = decryptor
        self.key = ResponseKeyPair()

    def post(self, path: str, body: Any, key: str | None = None) -> httpx.Response:
        """Send a request, under an idempotency key if there is one."""
        return self.client.post(path, json=body, headers={} if key is None else {"Idempotency-Key": key})

    def jwe(self, number: str = PAN, **changes: Any) -> str:
        """Return a card encrypted to the tenant's key."""
        keys = msgspec.json.decode(self.client.get("/v1/encryption-keys").content, type=EncryptionKeys)
        return seal_card(Card(**{"number": number, "expiry_month": 12, "expiry_year": 2030, **changes}), keys)

    def card(self, number: str = PAN, **changes: Any) -> dict[str, Any]:
        """Take a card in."""
        in_card = {name: changes.pop(name) for name in ("expiry_year", "cvc", "holder") if name in changes}
        return self.made({"kind": "card", "jwe": self.jwe(number, **in_card), **changes})

    def account(self, iban: str = IBAN, **changes: Any) -> dict[str, Any]:
        """Take a bank account in."""
        return self.made({"kind": "bank_account", "bank_account": {"iban": iban, "holder": "Ada"}, **changes})

    def personal(self, value: str = "12345678901", type_: str = "tax_id", **changes: Any) -> dict[str, Any]:
        """Take a personal value in."""
        return self.made({"kind": "personal", "personal": {"type": type_, "value": value}, **changes})

    def made(self, body: dict[str, Any]) -> dict[str, Any]:
        """Take a value in, and return the token."""
        answer = self.post("/v1/vault-tokens", body)
        assert answer.status_code == 201, answer.text
        token: dict[str, Any] = answer.json()
        return token

    def party(self) -> str:
        """Make a party."""
        return str(self.post("/v1/parties", {"kind": "person", "name": "Ada"}).json()["id"])

    def ask(self, *tokens: str, purpose: str, with_key: bool = False, reason: str = "test") -> httpx.Response:
        """Ask for values."""
        body: dict[str, Any] = {"vault_token_ids": tokens, "purpose": purpose, "reason": reason}
        if with_key:
            body["response_key"] = msgspec.to_builtins(self.key.public)
        return self.post("/v1/vault-tokens/detokenize", body)

    def told(self, *tokens: str, purpose: str, with_key: bool = False) -> list[dict[str, Any]]:
        """Ask for values, and return the verdicts."""
        answer = self.ask(*tokens, purpose=purpose, with_key=with_key)
        assert answer.status_code == 200, answer.text
        results: list[dict[str, Any]] = answer.json()["results"]
        return results

    def opened(self, verdict: dict[str, Any]) -> dict[str, Any]:
        """Return what a verdict's JWE holds."""
        return dict(self.key.open(verdict["jwe"], vault_token_id=verdict["vault_token_id"]))

    def records(self, object_id: str) -> list[dict[str, Any]]:
        """Return the audit of an object, the newest first."""
        found = self.client.get("/v1/audit-records", params={"object_id": object_id, "limit": 100}).json()
        records: list[dict[str, Any]] = found["data"]
        return records

    def at_once(self, times: int, work: Callable[[], T]) -> list[T]:
        """Do something many times at the same moment, and return what came of it."""
        with ThreadPoolExecutor(times) as pool:
            return [each.result() for each in [pool.submit(work) for _ in range(times)]]

    def sql(self, statement: str, *arguments: Any, slug: str = "alpha") -> list[dict[str, Any]]:
        """Run SQL as the tenant's runtime role."""

        async def run() -> list[dict[str, Any]]:
            services = self.live.services
            async with services.database.tx(await services.registry.get(slug)) as tx:
                return [dict(row) for row in await tx.fetch(statement, *arguments)]

        rows: list[dict[str, Any]] = self.live.run(run())
        return rows


def fresh_pan() -> str:
    """Return a card number that no test has used."""
    body = "400000" + f"{secrets.randbelow(10**9):09d}"
    total = sum(sum(divmod(int(digit) * (1 + (place % 2 == 0)), 10)) for place, digit in enumerate(body))
    return body + str(-total % 10)
