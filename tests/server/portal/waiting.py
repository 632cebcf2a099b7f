"""A bank in which something waits for a second person, and its staff."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx

from tests.live import LiveServer
from tests.server.people.persons import Person, a_person, enrol
from tests.tenants import manifest

__all__ = ["Bank", "opened", "somebody"]


class Bank:
    """A tenant in which large withdrawals take two people, and a wallet with money."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        party = self._made("/v1/parties", kind="person", name="Ada Lovelace")
        self.wallet = self._made("/v1/wallets", party_id=party)
        self._made("/v1/top-ups", wallet_id=self.wallet, amount={"amount_minor": 100_000, "currency": "EUR"})

    def _made(self, path: str, **body: Any) -> str:
        answer = self.client.post(path, json=body, headers={"Idempotency-Key": uuid4().hex})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def withdraw(self, amount_minor: int = 900) -> str:
        """Order a large withdrawal, and return the id of its approval."""
        body = {"wallet_id": self.wallet, "amount": {"amount_minor": amount_minor, "currency": "EUR"}}
        answer = self.client.post("/v1/withdrawals", json=body, headers={"Idempotency-Key": uuid4().hex})
        assert (answer.status_code, answer.json()["code"]) == (409, "approval_required")
        return str(answer.json()["facts"]["approval_id"])

    def balance(self) -> int:
        """Return what the wallet has."""
        (shown,) = self.client.get(f"/v1/wallets/{self.wallet}/balances").json()["data"]
        return int(shown["posted_minor"])


@contextmanager
def opened(live: LiveServer, slug: str) -> Iterator[Bank]:
    """Make such a tenant, with a client that orders."""
    live.add_tenant(manifest(slug, approvals={"withdrawal_from_minor": {"EUR": 800}}))
    with live.client(slug) as client:
        yield Bank(client)


def somebody(live: LiveServer, slug: str, *roles: str) -> Person:
    """Return one of the bank's staff, enrolled."""
    person = a_person(live, slug, realm="staff", roles=roles)
    enrol(person)
    return person
