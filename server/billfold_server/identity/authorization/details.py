"""Authorization details: what a person is asked to allow, in more words than a scope has (RFC 9396).

A type is registered with its wire form, with what the consent page says of it, and with what a payment's approval must
be bound to. A client may use the types that it is registered for, and no other; what it sends is read strictly, for
what the page can't show nobody can have allowed.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import msgspec

from billfold_server.identity.rules import OAuthRefusal

__all__ = [
    "Kind",
    "Line",
    "Owner",
    "Payment",
    "describe",
    "is_theirs",
    "kinds",
    "payment_among",
    "payment_of",
    "read",
    "register",
]

T = TypeVar("T", bound=msgspec.Struct)

_MOST: Final = 10
_LONGEST: Final = 8192
_TYPE: Final = re.compile(r"[A-Za-z0-9_:./-]{1,200}")


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the consent page says.

    Attributes:
        text: A key of the page's words.
        facts: What stands in its gaps; texts of people and clients, which the page escapes.
    """

    text: str
    facts: dict[str, str] = {}


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """To what a person's strong authentication must be bound (RTS on SCA, article 5).

    Attributes:
        kind: What is done, such as ``payment``.
        amount_minor: In minor units.
        currency: ISO 4217.
        payee: As the page shows it.
        payee_account: The account in its one normal form, by which the payee is known again.
        object_id: What it is about, as wire id, where there is one.
        terms: What else is shown and agreed to, each as label and value.
    """

    kind: str
    amount_minor: int
    currency: str
    payee: str
    payee_account: str | None = None
    object_id: str | None = None
    terms: tuple[tuple[str, str], ...] = ()


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Who is to allow something.

    Attributes:
        user_id: Who has signed in.
        party_id: As whom a customer owns things; None is one of the platform's operators.
    """

    user_id: UUID
    party_id: UUID | None


def _no_payment(_details: Any) -> None:
    return None


class Kind(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A type of authorization details.

    Attributes:
        name: Its ``type`` on the wire.
        form: Its wire form: a closed Struct whose ``type`` is that name.
        describe: What the page says of one, line by line.
        is_theirs: Tells, in the realm's transaction, whether one is about what is the person's own. What isn't, such as
            another customer's wallet or another client's consent, nobody is even shown.
        payment: To what the approval of one is to be bound; None where it moves no money.
    """

    name: str
    form: type[T]
    describe: Callable[[T], Sequence[Line]]
    is_theirs: Callable[[Any, Owner, T], Awaitable[bool]]
    payment: Callable[[T], Payment | None] = _no_payment


_KINDS: dict[str, Kind[Any]] = {}


def register(kind: Kind[Any]) -> None:
    """Let clients that are registered for it use a type. Saying so again changes nothing.

    Raises:
        ValueError: There is another one of that name already, or the name can't be one.
    """
    if _KINDS.get(kind.name, kind) is not kind or not _TYPE.fullmatch(kind.name):
        msg = f"the type {kind.name} is registered already, or can't be"
        raise ValueError(msg)
    _KINDS[kind.name] = kind


def kinds() -> Mapping[str, Kind[Any]]:
    """Return every type, by its name."""
    return _KINDS


def read(asked: object, allowed: Sequence[str]) -> list[dict[str, Any]]:
    """Return authorization details, each checked against its type.

    Args:
        asked: The parameter as text, or as a request object has it; None where there is none.
        allowed: The types for which the client is registered.

    Raises:
        OAuthRefusal: ``invalid_authorization_details`` (section 5).
    """
    if asked is None:
        return []
    refusal = OAuthRefusal("invalid_authorization_details", "authorization_details isn't a list of objects with a type")
    try:
        text = asked.encode() if isinstance(asked, str) else msgspec.json.encode(asked)
        given = msgspec.json.decode(text, type=list[dict[str, Any]]) if len(text) <= _LONGEST else []
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
        raise refusal from None
    if not 1 <= len(given) <= _MOST:
        raise refusal
    checked = [_read_one(each, allowed) for each in given]
    if sum(payment_of(each) is not None for each in checked) > 1:
        # An approval is linked to one amount and one payee.
        raise OAuthRefusal("invalid_authorization_details", "one request can ask for one payment")
    return checked


def _read_one(given: dict[str, Any], allowed: Sequence[str]) -> dict[str, Any]:
    kind = _KINDS.get(given["type"]) if isinstance(given.get("type"), str) else None
    if kind is None or kind.name not in allowed:
        raise OAuthRefusal("invalid_authorization_details", "the client may not use a type that it asks for")
    try:
        read_: dict[str, Any] = msgspec.to_builtins(msgspec.convert(given, kind.form))
    except msgspec.ValidationError:
        raise OAuthRefusal(
            "invalid_authorization_details", f"details of the type {kind.name} aren't of its form"
        ) from None
    return read_


def _of(given: Mapping[str, Any]) -> tuple[Kind[Any], Any]:
    kind = _KINDS[given["type"]]
    return kind, msgspec.convert(given, kind.form)


def describe(given: Mapping[str, Any]) -> Sequence[Line]:
    """Return what the page says of details that ``read`` has checked."""
    kind, details = _of(given)
    return kind.describe(details)


async def is_theirs(tx: Any, owner: Owner, given: Mapping[str, Any]) -> bool:
    """Tell whether checked details are about what is a person's own."""
    kind, details = _of(given)
    return await kind.is_theirs(tx, owner, details)


def payment_among(given: Sequence[Mapping[str, Any]]) -> Payment | None:
    """Return to what the approval of checked details is to be bound, where one of them moves money."""
    return next((payment for each in given if (payment := payment_of(each)) is not None), None)


def payment_of(given: Mapping[str, Any]) -> Payment | None:
    """Return to what the approval of checked details is to be bound, where they move money."""
    kind, details = _of(given)
    return kind.payment(details)
