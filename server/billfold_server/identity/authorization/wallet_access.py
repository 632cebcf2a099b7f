"""``wallet_access``: to look at some of one's wallets (RFC 9396).

::

    [{"type": "wallet_access", "actions": ["balances"], "wallet_ids": ["wal_…"]}]

Whoever reads wallets for the client, at Billfold or behind it, finds this in the token and in its introspection.
"""

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from billfold import ids
from billfold.contract.common import WalletId
from billfold.ids import Prefix
from billfold_server.identity.authorization.details import Kind, Line, Owner
from billfold_server.tenancy.context import Own
from billfold_server.wallets import service as wallets

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["WALLET_ACCESS", "WalletAccess"]

_MOST: Final = 20


class WalletAccess(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked.

    Attributes:
        type: The type of these details.
        actions: ``balances`` is what there is, ``entries`` what has happened.
        wallet_ids: The person's own wallets.
    """

    type: Literal["wallet_access"]
    actions: Annotated[list[Literal["balances", "entries"]], Meta(min_length=1, max_length=2)]
    wallet_ids: Annotated[list[WalletId], Meta(min_length=1, max_length=_MOST)]


def _describe(details: WalletAccess) -> "Sequence[Line]":
    facts = {"wallets": ", ".join(dict.fromkeys(details.wallet_ids))}
    return [Line(text=f"consent.wallet_{action}", facts=facts) for action in dict.fromkeys(details.actions)]


async def _is_theirs(tx: Any, owner: Owner, details: WalletAccess) -> bool:
    if owner.party_id is None:
        return False
    asked = frozenset(ids.decode(Prefix.WALLET, wallet_id) for wallet_id in details.wallet_ids)
    own = Own(party_id=owner.party_id, balances_of=asked)
    theirs = await wallets.list_wallets(tx, limit=_MOST, before=None, party_id=None, status=None, alias=None, own=own)
    return len(theirs) == len(asked)


WALLET_ACCESS: Final = Kind(name="wallet_access", form=WalletAccess, describe=_describe, is_theirs=_is_theirs)
