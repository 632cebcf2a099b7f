"""No name, mail address, IBAN or text of a person lies in plain: in no table, no log, and no audit record."""

import asyncio
import base64
import logging
import secrets
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.live import LiveServer
from tests.server.privacy.scanning import dump, finds
from tests.server.reconciliation.statement_files import Entry, Plan, camt053


def iban_of(number: str) -> str:
    """Return a Dutch IBAN with right check digits."""
    account = f"CANA{number}"
    digits = "".join(str(int(character, 36)) for character in f"{account}NL00")
    return f"NL{98 - int(digits) % 97:02d}{account}"


class Canaries:
    """Texts that are nowhere else."""

    def __init__(self) -> None:
        number = f"{secrets.randbelow(10**10):010d}"
        self.word = f"canary{secrets.token_hex(6)}"
        self.name = f"Zoe {self.word}"
        self.email = f"{self.word}@mail{secrets.token_hex(6)}.example"
        self.note = f"note-{secrets.token_hex(10)}"
        self.payer = f"payer-{secrets.token_hex(10)}"
        self.iban = iban_of(number)
        self.text = f"remittance{secrets.token_hex(6)}"

    @property
    def all(self) -> list[str]:
        """All of them."""
        return [self.word, self.email, self.email.partition("@")[2], self.note, self.payer, self.iban, self.text]


class Lines(logging.Handler):
    """Keeps what is logged, with everything that a record holds."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record, unless it is of the test's own HTTP client, which shows the addresses that it asks."""
        if record.name.partition(".")[0] in {"httpx", "httpcore"}:
            return
        self.text.append(f"{self.format(record)} {record.__dict__!r}")


@pytest.fixture
def logged() -> Iterator[Lines]:
    """Keep all that is logged."""
    lines, root = Lines(), logging.getLogger()
    level = root.level
    root.addHandler(lines)
    root.setLevel(logging.DEBUG)
    yield lines
    root.removeHandler(lines)
    root.setLevel(level)


def sing(client: httpx.Client, canaries: Canaries) -> None:
    """Give the canaries to every operation that takes such texts, also where it fails."""

    def post(path: str, body: Any = None, content: bytes | None = None) -> httpx.Response:
        headers = {"Idempotency-Key": uuid4().hex}
        if content is not None:
            return client.post(path, content=content, headers={**headers, "Content-Type": "application/octet-stream"})
        return client.post(path, json=body, headers=headers)

    body = {
        "kind": "person",
        "name": canaries.name,
        "email": canaries.email,
        "external_id": f"x-{uuid4().hex}",
        "metadata": {"note": canaries.note},
    }
    party = post("/v1/parties", body)
    assert party.status_code == 201, party.text
    assert post("/v1/parties", body).status_code == 409
    assert post("/v1/parties", {**body, "kind": canaries.word}).status_code == 400
    assert post("/v1/parties", {**body, canaries.word: canaries.email}).status_code == 400
    changed = client.patch(f"/v1/parties/{party.json()['id']}", json={"name": f"{canaries.name} Twice"})
    assert changed.json()["email"] == canaries.email
    (found,) = client.get("/v1/parties", params={"q": canaries.word}).json()["data"]
    assert found["metadata"] == {"note": canaries.note}
    wallet = post("/v1/wallets", {"party_id": party.json()["id"]}).json()["id"]
    entry = Entry(500, name=canaries.payer, iban=canaries.iban, remittance=canaries.text)
    data = camt053(Plan([entry]))
    assert post("/v1/statement-imports", content=data[:-200]).status_code == 422
    imported = post("/v1/statement-imports", content=data)
    assert imported.status_code == 201, imported.text
    (entry_,) = client.get("/v1/statement-entries", params={"outcome": "suspense"}).json()["data"]
    assert (entry_["counterparty_name"], entry_["counterparty_iban"]) == (canaries.payer, canaries.iban)
    assigned = post(f"/v1/statement-entries/{entry_['id']}/assign", {"wallet_id": wallet})
    assert assigned.json()["remittance"] == canaries.text


class TestCanaries:
    """Canaries."""

    def test_are_found_nowhere(self, live: LiveServer, logged: Lines):
        """Not in a dump of any table of the database, which holds audit and events, nor in what was logged."""
        canaries = Canaries()
        with live.client("beta") as client:
            sing(client, canaries)
        assert live.settings.admin_database_url is not None
        assert logged.text, "something was logged, or this would show nothing"
        assert finds("\n".join(logged.text).encode(), canaries.all) == []
        dumped = asyncio.run(dump(live.settings.admin_database_url.reveal()))
        assert b"party.created" in dumped, "the dump holds the audit"
        assert finds(dumped, canaries.all) == []


class TestTheScanner:
    """The scanner."""

    @pytest.mark.parametrize(
        "leak",
        [
            lambda text: text.encode(),
            lambda text: text.upper().encode(),
            lambda text: text.encode().hex().encode(),
            lambda text: base64.b64encode(b"name=" + text.encode() + b";"),
            lambda text: base64.urlsafe_b64encode(b"a name: " + text.encode()),
            lambda text: base64.b64encode(text.encode()).hex().encode(),
        ],
        ids=["raw", "upper", "hex", "base64", "base64url", "hex of base64"],
    )
    def test_finds_a_leak(self, leak: Any):
        """One that was planted, raw or in any of the forms in which it could lie somewhere."""
        canaries = Canaries()
        planted = b"before " + leak(canaries.iban) + b" after"
        assert {canary for canary, _ in finds(planted, canaries.all)} == {canaries.iban}

    def test_finds_a_leak_in_a_table(self, live: LiveServer):
        """What is written to a column of bytes is found in a dump by its hexadecimal digits."""
        canaries = Canaries()

        async def plant() -> None:
            tenant = await live.services.registry.get("beta")
            async with live.services.database.tx(tenant) as tx:
                await tx.execute(
                    "INSERT INTO seen_tokens (digest, expires_at) VALUES ($1, now())",
                    canaries.email.encode()[:32].ljust(32, b"."),
                )

        live.run(plant())
        assert live.settings.admin_database_url is not None
        dumped = asyncio.run(dump(live.settings.admin_database_url.reveal()))
        assert (canaries.word, "raw") in finds(dumped, canaries.all)
