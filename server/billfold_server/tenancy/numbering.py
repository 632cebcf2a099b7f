"""What a manifest says of the numbers of accounts that the tenant alone gives out."""

from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ["Numbering", "contradictions"]

_SortCode = Annotated[str, Meta(pattern=r"^[0-9]{6}$(?!\n)", description="Six digits.", examples=["040004"])]
_Prefix = Annotated[
    str,
    Meta(
        pattern=r"^[A-Z]{2}[0-9A-Z]{1,30}$(?!\n)",
        description="How IBANs begin, without their check digits: the country, and what comes after those digits.",
        examples=["DE50010517"],
    ),
]


class Numbering(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which numbers of accounts belong to this tenant alone.

    A payment to such a number that no wallet has is refused, and never given to a rail. A number range that a partner
    bank shares with others doesn't belong here: their accounts could no longer be paid.
    """

    sort_codes: Annotated[
        list[_SortCode],
        Meta(
            max_length=100, description="Sort codes, also within British IBANs, under which all accounts are wallets."
        ),
    ] = []
    iban_prefixes: Annotated[
        list[_Prefix], Meta(max_length=100, description="Beginnings of IBANs that all are wallets'.")
    ] = []


def contradictions(numbering: Numbering) -> list[tuple[str, str]]:
    """Return what can't be meant, as (key, reason)."""
    lists = {"numbering.sort_codes": numbering.sort_codes, "numbering.iban_prefixes": numbering.iban_prefixes}
    return [
        (key, f"lists {value} twice")
        for key, values in lists.items()
        for value in sorted({value for value in values if values.count(value) > 1})
    ]
