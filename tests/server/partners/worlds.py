"""A tenant with two partners, each of which has everything that a partner has."""

import secrets
import time
from typing import Any

import httpx

from billfold_server.partners.rules import OF_BANK
from tests.live import Credentials, LiveServer
from tests.server.people.persons import Person, enrol

__all__ = ["DEADLINE_S", "OWN", "World", "as_client", "member_of", "until"]

DEADLINE_S = 60

OWN = ["clients:read", "clients:write", "events:read", "members:read", "members:write", "partners:read"]
OWN += ["wallets:read", "webhooks:read", "webhooks:write"]
SECRET = {"token_endpoint_auth_method": "client_secret_basic"}


def as_client(live: LiveServer, credentials: Credentials) -> httpx.Client:
    """Return an HTTP client that is authenticated as an API client of alpha."""
    return live.client_of("alpha", credentials)


def made(answer: httpx.Response) -> dict[str, Any]:
    """Return what was made."""
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def until(wanted: int, ask: Any) -> None:
    """Ask until a status comes."""
    deadline = time.monotonic() + DEADLINE_S
    while (status := ask().status_code) != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    assert status == wanted


class Side:
    """One partner, with a client of its own, a webhook endpoint and a member, and one that is the tenant's own.

    Args:
        bank: The bank's client.
        partner: Whether it is one; the tenant itself isn't.
    """

    def __init__(self, bank: httpx.Client, *, partner: bool) -> None:
        self.bank = bank
        of: dict[str, Any] = {}
        if partner:
            body = {"name": "Example Shop Ltd", "external_id": secrets.token_hex(6), "client_scopes": OWN}
            self.partner = made(bank.post("/v1/partners", json=body))
            of = {"partner_id": self.partner["id"]}
            name = f"grace.{secrets.token_hex(4)}@partner.example"
            body = {"login_name": name, "display_name": "Grace Hopper", "role": "developer"}
            self.member = made(bank.post(f"/v1/partners/{self.partner['id']}/members", json=body))
        self.client = made(bank.post("/v1/clients", json={**SECRET, "scope": " ".join(OWN), **of}))
        self.credentials = Credentials(self.client["id"], self.client["client_secret"])
        body = {"url": "https://partner.example/webhooks", "event_types": ["product.created"], **of}
        self.endpoint = made(bank.post("/v1/webhook-endpoints", json=body))


class World:
    """Two partners of alpha, ``one`` and ``other``, and what is the tenant's own."""

    def __init__(self, live: LiveServer) -> None:
        self.live = live
        self.bank = live.client("alpha")
        self.one, self.other, self.own = (Side(self.bank, partner=each) for each in (True, True, False))
        self.api = as_client(live, self.one.credentials)


def member_of(world: World, side: Side, role: str = "admin") -> Person:
    """Return a member of a partner who has enrolled."""
    members = f"/v1/partners/{side.partner['id']}/members"
    name = f"ada.{secrets.token_hex(4)}@partner.example"
    body = {"login_name": name, "display_name": "Ada Lovelace", "role": role}
    user = made(world.bank.post(members, json=body))["id"]
    code = made(world.bank.post(f"{members}/{user}/enrolment-codes"))["code"]
    person = Person(world.live, "alpha", "/auth/partner", user_id=user, name=name, enrolment=code)
    enrol(person)
    return person


assert not OF_BANK & set(OWN)
