"""Which accounts the page of a consent offers to a customer who has more of them than a page shows.

They look for accounts by what they type, or see older ones, as often as they like. What they have chosen comes along in
the form, and each page lists it anew, so that they see all that they agree to. Nothing of this is kept here.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract.wallets import Wallet
from billfold.ids import Prefix
from billfold_server.tenancy.context import Own
from billfold_server.wallets import service as wallets

if TYPE_CHECKING:
    from billfold_server.tenancy.transaction import TenantTx

__all__ = ["MOST", "TICK", "Finder", "Look", "answered", "is_look", "list_own", "offer", "wanted"]

MOST: Final = 300
"""How many accounts are carried from one page to the next: a form has 16 KiB."""
TICK: Final = "wallet."
"""How fields begin that say that an account is chosen."""
_PAGE: Final = 40
_LOOKS: Final = frozenset({"look", "older"})
_TEXT: Final = 100


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer wants to see of their accounts.

    Attributes:
        text: What they have typed.
        before: Only older accounts than this.
        kept: What they have chosen.
        offered: Beside that exactly these, as on the page before; None is whatever is found.
        last: Behind which account the older ones begin that the page before had no place for.
        too_many: Whether they have chosen more than can be kept.
    """

    text: str = ""
    before: UUID | None = None
    kept: tuple[UUID, ...] = ()
    offered: tuple[UUID, ...] | None = None
    last: UUID | None = None
    too_many: bool = False


class Finder(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows beside the accounts, so that others can be found.

    Attributes:
        text: What was typed.
        kept: What was chosen on pages before, as ``wal_…``.
        offered: Among which to choose on this one.
        last: Behind which account older ones begin; None where there are none.
    """

    text: str
    kept: list[str]
    offered: list[str]
    last: str | None


def is_look(form: Mapping[str, str]) -> bool:
    """Tell whether a form asks for other accounts, rather than to answer."""
    return "drop" in form or form.get("decision") in _LOOKS


def wanted(form: Mapping[str, str]) -> Look:
    """Return what a form asks to see."""
    kept, offered = _ids(form.get("kept", "")), _ids(form.get("offered", ""))
    text, last = form.get("find", "")[:_TEXT], _id(form.get("last", ""))
    chosen = (*kept, *(each for each in offered if TICK + ids.encode(Prefix.WALLET, each) in form))
    if (dropped := _id(form.get("drop", ""))) is not None:
        left = tuple(each for each in chosen[:MOST] if each != dropped)
        stay = (dropped, *(each for each in offered if each not in chosen))
        return Look(text=text, kept=left, offered=stay, last=last)
    before = last if form.get("decision") == "older" else None
    return Look(text=text, before=before, kept=chosen[:MOST], too_many=len(chosen) > MOST)


def answered(form: Mapping[str, str]) -> Look:
    """Return what the page showed that a form answers."""
    if "offered" not in form:
        return Look()
    return Look(
        text=form.get("find", "")[:_TEXT],
        kept=_ids(form.get("kept", "")),
        offered=_ids(form["offered"]),
        last=_id(form.get("last", "")),
    )


async def offer(
    tx: "TenantTx", party_id: UUID, statuses: Sequence[str], look: Look
) -> tuple[list[Wallet], Finder | None]:
    """Return a customer's wallets that a page shows, what is chosen first, and how to find others where there are more.

    Args:
        tx: The tenant's transaction.
        party_id: Who they are.
        statuses: What wallets may be.
        look: What they want to see.
    """
    kept, last = await list_own(tx, Own(party_id=party_id, balances_of=frozenset(look.kept)), len(look.kept)), look.last
    if look.offered is None:
        found = await wallets.search_wallets(tx, party_id, statuses, look.text, look.before, look.kept, _PAGE + 1)
        last = ids.decode(Prefix.WALLET, found[_PAGE - 1].id) if len(found) > _PAGE else None
        found = found[:_PAGE]
        if look == Look() and last is None:
            return found, None
    else:
        found = await list_own(tx, Own(party_id=party_id, balances_of=frozenset(look.offered)), len(look.offered))
    finder = Finder(
        text=look.text,
        kept=[each.id for each in kept],
        offered=[each.id for each in found],
        last=None if last is None else ids.encode(Prefix.WALLET, last),
    )
    return [*kept, *found], finder


async def list_own(tx: "TenantTx", own: Own, limit: int) -> list[Wallet]:
    """Return some of a customer's own wallets, newest first."""
    return await wallets.list_wallets(tx, limit=limit, before=None, party_id=None, status=None, alias=None, own=own)


def _ids(said: str) -> tuple[UUID, ...]:
    return tuple(found for each in said.split() if (found := _id(each)) is not None)


def _id(said: str) -> UUID | None:
    try:
        return ids.decode(Prefix.WALLET, said)
    except ids.InvalidIdError:
        return None
