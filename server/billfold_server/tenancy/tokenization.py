"""The manifest's part on tokenization: what the vault takes in, for whom it opens, and how long it keeps.

Nothing opens unless a purpose says so: the part's defaults let values in and none out.
"""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

__all__ = ["CardField", "Name", "PersonalRule", "Purpose", "TokenRetention", "Tokenization", "contradictions"]

TokenKind = Literal["card", "bank_account", "personal"]
CardField = Literal["number", "expiry", "holder", "cvc"]
"""A part of a card; ``cvc`` is there once and for minutes, if it came along."""

Name = Annotated[str, Meta(min_length=1, max_length=50, pattern=r"^[a-z][a-z0-9_]*$(?!\n)")]
_Client = Annotated[
    str,
    Meta(
        pattern=r"^(\*|cli_[0-7][0-9a-hjkmnp-tv-z]{25})$(?!\n)",
        description="An API client's id; ``*`` is every one that has the scope.",
        examples=["cli_01m7w9tnzcejq9b78b81gh4nmw"],
    ),
]
_Scope = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[a-z_:]+$(?!\n)")]
_Role = Literal["owner", "operator", "approver", "support", "auditor", "developer", "custodian"]
_Limit = Annotated[int, Meta(ge=1, le=10_000_000)]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Closed, so that a misspelt key is reported."""


class PersonalRule(_Part, frozen=True, kw_only=True):
    """A type of personal data that the vault takes in."""

    pattern: (
        Annotated[str, Meta(min_length=1, max_length=500, description="A regular expression for the whole value.")]
        | None
    ) = None
    min_length: Annotated[int, Meta(ge=1, le=2000)] = 1
    max_length: Annotated[int, Meta(ge=1, le=2000)] = 200
    searchable: Annotated[bool, Meta(description="Whether tokens can be found by the value.")] = False


class Purpose(_Part, frozen=True, kw_only=True):
    """What values may leave the vault for, to whom, and how many."""

    kinds: Annotated[list[TokenKind], Meta(min_length=1, max_length=3)]
    personal_types: Annotated[list[Name], Meta(max_length=100, description="Those of kind ``personal``.")] = []
    fields: Annotated[list[CardField], Meta(min_length=1, max_length=4, description="What of a card is told.")] = (
        msgspec.field(default_factory=lambda: ["number", "expiry"])
    )
    reveal: Annotated[
        Literal["masked", "full"], Meta(description="Whether values are told, or only what anybody may see of them.")
    ] = "masked"
    clients: Annotated[
        list[_Client], Meta(max_length=100, description="Which programs may, acting for themselves.")
    ] = []
    roles: Annotated[list[_Role], Meta(max_length=10, description="Which members of staff may, signed in.")] = []
    scopes: Annotated[
        list[_Scope], Meta(max_length=20, description="What the access token must allow beside tokens:detokenize.")
    ] = []
    single_use: Annotated[bool, Meta(description="Whether tokens for one use may be used up for it.")] = False
    per_hour: Annotated[_Limit, Meta(description="Tokens per caller and hour.")] | None = None
    per_day: Annotated[_Limit, Meta(description="Tokens per caller and day.")] | None = None
    alarm_per_hour: Annotated[_Limit, Meta(description="From how many in an hour somebody is told.")] | None = None


class TokenRetention(_Part, frozen=True, kw_only=True):
    """What is deleted by itself, once a day on the tenant's clock."""

    unused_days: (
        Annotated[
            int, Meta(ge=1, le=36_600, description="Tokens that were neither opened nor given out anew for so long.")
        ]
        | None
    ) = None
    expired_days: (
        Annotated[int, Meta(ge=0, le=36_600, description="Tokens that expired, or were used up, so long ago.")] | None
    ) = 30


class Tokenization(_Part, frozen=True, kw_only=True):
    """What the tenant's vault does."""

    kinds: Annotated[list[TokenKind], Meta(max_length=3, description="What it takes in.")] = msgspec.field(
        default_factory=lambda: ["card", "bank_account", "personal"]
    )
    personal: Annotated[
        dict[Name, PersonalRule], Meta(max_length=100, description="The types of personal data, by name.")
    ] = {}
    purposes: Annotated[
        dict[Name, Purpose], Meta(max_length=100, description="What values may be asked for, by name.")
    ] = {}
    searches_per_hour: Annotated[_Limit, Meta(description="Searches by value, per caller and hour.")] = 600
    retention: TokenRetention = TokenRetention()


def contradictions(part: Tokenization) -> list[tuple[str, str]]:
    """Return each pair of statements that can't both be meant, as (key, reason)."""
    found: list[tuple[str, str]] = []
    for name, rule in part.personal.items():
        key = f"tokenization.personal.{name}"
        if rule.max_length < rule.min_length:
            found.append((f"{key}.max_length", "must be at least min_length"))
        try:
            re.compile(rule.pattern or "")
        except re.error:
            found.append((f"{key}.pattern", "isn't a regular expression"))
    for name, purpose in part.purposes.items():
        found += [(f"tokenization.purposes.{name}{key}", reason) for key, reason in _of_purpose(part, purpose)]
    return found


def _of_purpose(part: Tokenization, purpose: Purpose) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if not purpose.clients and not purpose.roles:
        found.append(("", "names neither clients nor roles, so it opens for nobody"))
    if ("personal" in purpose.kinds) != bool(purpose.personal_types):
        found.append((".personal_types", "are named if, and only if, kinds has personal"))
    strangers = sorted(set(purpose.personal_types) - set(part.personal))
    found += [(".personal_types", f"{name} isn't declared below tokenization.personal") for name in strangers]
    if purpose.per_hour is not None and purpose.per_day is not None and purpose.per_day < purpose.per_hour:
        found.append((".per_day", "must be at least per_hour"))
    if (
        purpose.alarm_per_hour is not None
        and purpose.per_hour is not None
        and purpose.alarm_per_hour > purpose.per_hour
    ):
        found.append((".alarm_per_hour", "is never reached before per_hour"))
    return found
