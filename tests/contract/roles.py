"""Who may ask a tenant: each role of its staff, a customer, a partner's program; and what the document lets them."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from billfold.contract.roles import StaffRole
from billfold_server.identity.clients.rows import LoginRealm
from billfold_server.identity.rules import TENANT_SCOPES
from billfold_server.people.roles import CUSTOMER_SCOPES, ROLES
from tests.contract.documents import Operation, operations
from tests.live import LiveServer
from tests.server.identity.flows import add_app, add_person, tokens_of

__all__ = ["ACTORS", "Actor", "is_allowed", "may", "opens"]

PARTNER_SCOPES = frozenset({"holds:read", "parties:read", "transfers:write", "wallets:read"})
"""What a partner's program may that takes payments and looks at wallets."""


class Actor(msgspec.Struct, frozen=True):
    """Somebody who asks.

    Attributes:
        token: What they show.
        scopes: What it allows.
        of_customer: Whether it stands for a customer, to whom few operations are open.
    """

    token: str
    scopes: frozenset[str]
    of_customer: bool = False


def _person(live: LiveServer, slug: str, roles: Sequence[StaffRole]) -> Actor:
    """Let somebody sign in to an app that asks for all that there is."""
    scopes = " ".join(sorted(TENANT_SCOPES))
    realm: LoginRealm = "staff" if roles else "psu"
    app = add_app(live, slug, "client_secret_basic", login_realm=realm, scopes=scopes.split(" "))
    said = tokens_of(app, add_person(live, slug, roles=roles), scope=scopes)
    return Actor(said["access_token"], frozenset(said["scope"].split(" ")), of_customer=not roles)


def _of_staff(role: StaffRole) -> Callable[[LiveServer, str], Actor]:
    def make(live: LiveServer, slug: str) -> Actor:
        actor = _person(live, slug, [role])
        assert actor.scopes == ROLES[role]
        return actor

    return make


def _customer(live: LiveServer, slug: str) -> Actor:
    actor = _person(live, slug, [])
    assert actor.scopes == CUSTOMER_SCOPES
    return actor


def _partner(live: LiveServer, slug: str) -> Actor:
    credentials = live.add_client(slug, sorted(PARTNER_SCOPES))
    return Actor(live.token(slug, credentials), PARTNER_SCOPES)


ACTORS: dict[str, Callable[[LiveServer, str], Actor]] = {
    **{role.value: _of_staff(role) for role in StaffRole},
    "customer": _customer,
    "partner": _partner,
}
"""Everybody, and how a tenant comes by them."""


def is_allowed(operation: Operation, scopes: frozenset[str]) -> bool:
    """Tell whether the document's operation may be asked with these scopes: any of its requirements is met."""
    return any(scopes.issuperset(needed) for each in operation.definition["security"] for needed in each.values())


def opens(operation: Operation) -> bool:
    """Tell whether the document's operation is open to customers: then it doesn't refuse them as such."""
    content = operation.definition["responses"]["403"]["content"]["application/problem+json"]
    return "permission_denied" not in content["examples"]


def may(document: dict[str, Any], actor: Actor) -> dict[str, Any]:
    """Return the part of a document that somebody may ask for."""
    allowed = {
        each.operation_id
        for each in operations(document)
        if each.needs_token and is_allowed(each, actor.scopes) and (opens(each) or not actor.of_customer)
    }
    paths = {
        path: {name: _led(each, allowed) for name, each in item.items() if each["operationId"] in allowed}
        for path, item in document["paths"].items()
    }
    return {**document, "paths": {path: item for path, item in paths.items() if item}}


def _led(definition: dict[str, Any], allowed: set[str]) -> dict[str, Any]:
    """Return an operation whose answers lead to others that may be asked for, too."""
    responses = {
        status: {
            **said,
            "links": {name: each for name, each in said["links"].items() if each["operationId"] in allowed},
        }
        if "links" in said
        else said
        for status, said in definition["responses"].items()
    }
    return {**definition, "responses": responses}
