"""How a consent moves from one standing to the next, and what one allows: pure decisions.

The codes are those of the UK's Read/Write API, version 4. One state machine serves every kind; what differs between
consents that last and those that are used up once is a row of the table more or less.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

from billfold import errors

__all__ = [
    "ENDED",
    "EVENTS",
    "FINAL",
    "KINDS",
    "STATUSES",
    "TRANSITIONS",
    "By",
    "ConsentKind",
    "Event",
    "Status",
    "allows",
    "ends_at",
    "lasts",
    "next_status",
    "overdue",
    "reauthenticate_by",
]

ConsentKind = Literal["account_access", "funds_confirmation", "domestic_payment", "domestic_vrp"]
"""For what a consent is."""

Status = Literal["AWAU", "AUTH", "RJCT", "COND", "CANC", "EXPD"]
"""Awaiting authorisation, authorised, rejected, consumed, cancelled, expired."""

Event = Literal[
    "authorise", "reauthenticate", "require_reauthentication", "refuse", "consume", "revoke", "lapse", "expire"
]
"""What happens to a consent. It lapses where nobody has answered in time, and expires at the end that was agreed."""

By = Literal["psu", "tpp", "staff", "system", "token"]
"""Who has done it: the customer, the third party, the bank's staff, time, or whoever revoked a token."""

KINDS: Final[tuple[ConsentKind, ...]] = get_args(ConsentKind)
STATUSES: Final[tuple[Status, ...]] = get_args(Status)
EVENTS: Final[tuple[Event, ...]] = get_args(Event)

_LASTING: Final[dict[tuple[Status, Event], Status]] = {
    ("AWAU", "authorise"): "AUTH",
    ("AWAU", "refuse"): "RJCT",
    ("AWAU", "revoke"): "CANC",
    ("AWAU", "lapse"): "RJCT",
    ("AWAU", "expire"): "EXPD",
    ("AUTH", "reauthenticate"): "AUTH",
    ("AUTH", "require_reauthentication"): "AUTH",
    ("AUTH", "revoke"): "CANC",
    ("AUTH", "expire"): "EXPD",
}
_ONCE: Final[dict[tuple[Status, Event], Status]] = {
    ("AWAU", "authorise"): "AUTH",
    ("AWAU", "refuse"): "RJCT",
    ("AWAU", "revoke"): "RJCT",
    ("AWAU", "lapse"): "RJCT",
    ("AWAU", "expire"): "RJCT",
    ("AUTH", "consume"): "COND",
    ("AUTH", "revoke"): "RJCT",
    ("AUTH", "expire"): "RJCT",
}

TRANSITIONS: Final[dict[ConsentKind, Mapping[tuple[Status, Event], Status]]] = {
    "account_access": _LASTING,
    "funds_confirmation": _LASTING,
    "domestic_vrp": _LASTING,
    "domestic_payment": _ONCE,
}
"""What each event makes of a consent of each kind; what isn't here is refused."""

_AGEING: Final[frozenset[ConsentKind]] = frozenset({"account_access"})
"""Where an authentication holds for so many days alone: only who reads accounts must have the customer come back (RTS
on SCA, articles 10 and 10a). Of other consents that last, the customer may come back, and must where the bank asks for
it; the standard's profile of recurring payments says that they aren't to run out as those to read do."""

FINAL: Final[frozenset[Status]] = frozenset({"RJCT", "COND", "CANC", "EXPD"})
"""From where nothing leads on."""

ENDED: Final[dict[Event, str]] = {
    "refuse": "the customer has refused",
    "lapse": "nobody has authorised it in time",
    "expire": "its time has run out",
    "require_reauthentication": "the customer must authenticate again",
}
"""Why a consent ends, or no longer opens anything, where nobody gives another reason."""


def next_status(kind: ConsentKind, status: Status, event: Event) -> Status:
    """Return what an event makes of a consent.

    Raises:
        errors.ConsentTransitionRefused: It can't happen to such a consent, or not any more.
    """
    try:
        return TRANSITIONS[kind][status, event]
    except KeyError:
        raise errors.ConsentTransitionRefused(
            "the consent's status doesn't allow this", consent_status=status, event=event
        ) from None


def ends_at(
    *,
    kind: ConsentKind,
    created_at: datetime,
    expires_at: datetime | None,
    authorised_at: datetime | None,
    pending_hours: int,
    most_days: int,
) -> datetime:
    """Return when a consent ends by itself, whatever else happens: every consent does.

    Args:
        kind: For what it is.
        created_at: When it was asked for.
        expires_at: The end that was asked for.
        authorised_at: When it was authorised; None where it isn't yet.
        pending_hours: How long it may wait to be authorised, and one for a single payment to be used.
        most_days: How long one that lasts may last.
    """
    pending = timedelta(hours=pending_hours)
    if authorised_at is None:
        end = created_at + pending
    elif kind == "domestic_payment":
        end = authorised_at + pending
    else:
        end = created_at + timedelta(days=most_days)
    return end if expires_at is None else min(end, expires_at)


def reauthenticate_by(kind: ConsentKind, authenticated_at: datetime, days: int) -> datetime | None:
    """Return until when a customer's authentication holds for a consent; None is as long as the consent itself."""
    return authenticated_at + timedelta(days=days) if kind in _AGEING else None


def lasts(kind: ConsentKind) -> bool:
    """Tell whether a consent of a kind lasts, so that its customer may authenticate for it again while it stands."""
    return ("AUTH", "reauthenticate") in TRANSITIONS[kind]


def overdue(status: Status, *, ends_at: datetime, expires_at: datetime | None, now: datetime) -> Event | None:
    """Return what time has made of a consent whose row doesn't say so yet, or None."""
    if status in FINAL or now < ends_at:
        return None
    if status == "AWAU" and (expires_at is None or now < expires_at):
        return "lapse"
    return "expire"


def allows(permissions: frozenset[str], wanted: str) -> bool:
    """Tell whether a set of permissions holds one; ``…Detail`` holds the ``…Basic`` of the same."""
    return wanted in permissions or (wanted.endswith("Basic") and f"{wanted[:-5]}Detail" in permissions)
