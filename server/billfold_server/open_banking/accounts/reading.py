"""What every operation does before and after it reads: the consent, the wallets, and pages.

No page needs to know how many there are: where to go on stands in its links, forwards and back.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET

from billfold import errors, ids
from billfold.contract.open_banking.common import Links, Meta
from billfold.ids import InvalidIdError, Prefix
from billfold_server.consents import service as consents
from billfold_server.consents.service import Consent
from billfold_server.http.routing import Call
from billfold_server.open_banking.accounts.rules import Cluster
from billfold_server.open_banking.edge.answers import address_of, meta_of
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.wallets import service as wallets

__all__ = [
    "LIMIT",
    "REFUSES",
    "Page",
    "Place",
    "Reading",
    "begin",
    "cut",
    "paged",
    "surroundings",
]

LIMIT: Final = 100
"""How many items a page has at most."""

REFUSES: Final = (
    errors.ConsentLacksAccount,
    errors.ConsentLacksPermission,
    errors.ConsentNotUsable,
    errors.NotFound,
    errors.ReauthenticationRequired,
    errors.ThirdPartyBlocked,
)
"""What may refuse any reading of accounts."""

T = TypeVar("T")
Place = tuple[str | int, ...]
"""What of an item is its place in a list."""


class Reading(msgspec.Struct, frozen=True):
    """What may be read now.

    Attributes:
        consent: By which consent.
        wallet_ids: Of which wallets: the one that was asked for, or all of the consent's.
        detail: Whether all of each item.
    """

    consent: Consent
    wallet_ids: tuple[UUID, ...]
    detail: bool


@asynccontextmanager
async def begin(
    call: Call, cluster: Cluster, account_id: str | None = None, *, begin_sql: str = ""
) -> AsyncIterator[tuple[TenantTx, Reading]]:
    """Open the transaction in which is read, and use the consent of the request's token in it for that.

    By one query it is seen that the consent, what its customer has allowed by it, and the token stand.

    Args:
        call: The request.
        cluster: What is to be read.
        account_id: Of which account; of all of the consent's where there is none.
        begin_sql: SQL without parameters that travels in the same round trip as BEGIN.

    Raises:
        errors.InvalidToken: The token was revoked, or what it was issued by has ended.
        errors.EndpointNotOffered: The bank doesn't offer this.
        errors.NotFound: There is no such account.
        errors.ConsentLacksAccount: The consent isn't about it.
        errors.ConsentLacksPermission: The consent doesn't permit this.
        errors.ConsentNotUsable: It isn't authorised, or has ended.
    """
    if cluster.offered is not None and cluster.offered in call.tenant.manifest.open_banking.not_offered:
        raise errors.EndpointNotOffered
    wallet_id = None if account_id is None else _wallet_id(account_id)
    async with call.services.database.tx(call.tenant, begin_sql=begin_sql) as tx:
        yield tx, await _use(tx, call, cluster, wallet_id)


async def _use(tx: TenantTx, call: Call, cluster: Cluster, wallet_id: UUID | None) -> Reading:
    try:
        consent = await consents.use(
            tx,
            call.caller,
            kind="account_access",
            permission=cluster.permission,
            wallet_id=wallet_id,
            uses=consents.uses_of(call.services),
            sees_grant=True,
        )
    except errors.ConsentLacksAccount:
        if wallet_id is not None and not await wallets.find_wallets(tx, [wallet_id]):
            raise _unknown() from None
        raise
    chosen = tuple(sorted(consent.wallet_ids)) if wallet_id is None else (wallet_id,)
    return Reading(consent, chosen, cluster.in_detail(consent.permissions))


def _wallet_id(account_id: str) -> UUID:
    try:
        return ids.decode(Prefix.WALLET, account_id)
    except InvalidIdError:
        raise _unknown() from None


def _unknown() -> errors.NotFound:
    return errors.NotFound("there is no such account", param="AccountId")


# Pages.


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some items of a list, in its order.

    Attributes:
        items: The items.
        prev: Before which place the page before ends, where there is one.
        next: Behind which place the next page begins, where there is one.
        cursor: By which it was asked for.
    """

    items: Sequence[T]
    prev: Place | None = None
    next: Place | None = None
    cursor: str | None = None


Fetch = Callable[..., Awaitable[tuple[Sequence[T], Place | None]]]
"""Takes a place and whether to go ``backwards`` from it; returns items in the list's order, and where to go on."""


def cut(rows: Sequence[T], place: Callable[[T], Place], *, backwards: bool) -> tuple[Sequence[T], Place | None]:
    """Return a page of rows in the list's order, and the place to go on; one row too many tells that there is one."""
    shown = rows[:LIMIT]
    following = place(shown[-1]) if len(rows) > LIMIT else None
    return (shown[::-1] if backwards else shown), following


def _place_of(call: Call, kind: str, cursor: str | None) -> tuple[Place | None, bool]:
    """Return at which place a page begins, and whether it lies before that.

    Raises:
        errors.InvalidCursor: The cursor isn't one of this list.
    """
    found = call.cursors.decode(f"open-banking.{kind}", cursor)
    if found is None:
        return None, False
    way, *place = found
    return tuple(each for each in place if each is not None), way == "prev"


async def paged(call: Call, kind: str, cursor: str | None, fetch: "Fetch[T]", place: Callable[[T], Place]) -> "Page[T]":
    """Return one page of a list.

    Args:
        call: The request.
        kind: The list's name, under which its cursors are valid.
        cursor: The parameter ``page``.
        fetch: Reads the items.
        place: Gives an item's place.

    Raises:
        errors.InvalidCursor: The cursor isn't one of this list.
    """
    at, backwards = _place_of(call, kind, cursor)
    items, following = await fetch(at, backwards=backwards)
    if not backwards:
        before = None if at is None else (place(items[0]) if items else at)
        return Page(items, before, following, cursor)
    behind = place(items[-1]) if items else at
    return Page(items, following, behind, cursor)


def surroundings(
    call: Call, kind: str, page: "Page[Any]", query: Mapping[str, str | None] | None = None, meta: Meta | None = None
) -> dict[str, Any]:
    """Return ``links`` and ``meta`` of an answer.

    Args:
        call: The request.
        kind: The list's name.
        page: Its page.
        query: The other parameters, which all pages have in common.
        meta: Facts about it, where there are others than how many pages it has.
    """
    asked = dict(query or {})

    def address(way: str, place: Place | None) -> Any:
        if place is None:
            return UNSET
        return address_of(call, {**asked, "page": call.cursors.encode(f"open-banking.{kind}", [way, *place])})

    alone = page.prev is None and page.next is None
    links = Links(
        self_=address_of(call, {**asked, "page": page.cursor}),
        first=UNSET if alone else address_of(call, asked),
        prev=address("prev", page.prev),
        next=address("next", page.next),
    )
    return {"links": links, "meta": meta or meta_of(total_pages=1 if alone else None)}
