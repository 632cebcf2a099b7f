"""What a partner may be given, what a change changes, and what keeps one from being removed."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from msgspec import UNSET

from billfold.contract.partners import UpdatePartner
from billfold_server.partners.rows import Partner

__all__ = ["LEAVING", "OF_BANK", "OVER_PEOPLE", "changes_of", "never_given", "why_in_use"]

OF_BANK: Final = frozenset(
    {
        "approvals:decide",
        "approvals:read",
        "audit:read",
        "consents:read",
        "consents:write",
        "keys:read",
        "keys:write",
        "partners:write",
        "payments:resolve",
        "privacy:read",
        "privacy:write",
        "users:read",
        "users:write",
    }
)
"""What is about the bank alone: its people and their records, its keys, and who else is let in."""


OVER_PEOPLE: Final = frozenset({"members:write"})
"""Of what partners may have, what rules over people: nobody gives it to a program who hasn't got it."""


def never_given(scopes: Iterable[str], known: Collection[str]) -> list[str]:
    """Return those of the scopes that no partner is given, or that there aren't."""
    return sorted(each for each in set(scopes) if each in OF_BANK or each not in known)


def changes_of(partner: Partner, body: UpdatePartner) -> dict[str, object]:
    """Return what a change changes, by the names of the columns."""
    asked: dict[str, object] = {"name": body.name, "external_id": body.external_id}
    if body.client_scopes is not UNSET:
        asked["client_scopes"] = sorted(set(body.client_scopes))
    return {name: value for name, value in asked.items() if value is not UNSET and value != getattr(partner, name)}


LEAVING: Final = {
    "clients": "API clients that aren't disabled",
    "members": "members",
    "sandboxes": "sandboxes",
    "webhook_endpoints": "webhook endpoints",
}
"""Of what nothing may be left of a partner that is removed, by the names of the facts that count it."""


def why_in_use(left: Mapping[str, int]) -> str | None:
    """Return in words what is left of a partner; None where nothing is."""
    counted = [f"{words}: {left[name]}" for name, words in LEAVING.items() if left[name]]
    return f"the partner still has {', '.join(counted)}" if counted else None
