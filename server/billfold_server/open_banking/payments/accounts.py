"""How this interface names accounts of payers and payees, and which wallets those are."""

from typing import Final, NamedTuple, Protocol
from uuid import UUID

from billfold import errors, ids
from billfold.contract.wallets import AliasScheme
from billfold.ids import Prefix
from billfold_server.http.routing import Call
from billfold_server.open_banking.edge.errors import field_error
from billfold_server.parties import service as parties
from billfold_server.wallets import service as wallets
from billfold_server.wallets.service import AliasKey

__all__ = ["WALLET", "NamedAccount", "Owned", "check_debtor", "creditor_of", "debtor_of"]

WALLET: Final = "UK.OBIE.Wallet"
"""The scheme whose numbers are the ids of wallets."""

_ALIASES: Final = {
    "UK.OBIE.IBAN": AliasScheme.IBAN,
    "UK.OBIE.SortCodeAccountNumber": AliasScheme.SORT_CODE_ACCOUNT_NUMBER,
}
_SCHEMES: Final = frozenset({WALLET, *_ALIASES})
_LONGEST_NAME: Final = 70
_IDENTIFIER, _SCHEME = "U021", "U027"


class NamedAccount(Protocol):
    """An account as a request names it."""

    @property
    def scheme_name(self) -> str:
        """In which words."""

    @property
    def identification(self) -> str:
        """Its number."""


class Owned(NamedTuple):
    """A wallet as an account that pays."""

    scheme_name: str
    identification: str
    name: str


def creditor_of(account: NamedAccount, path: str) -> UUID | AliasKey:
    """Return to which wallet an account belongs, by its id or by the alias that it may be.

    Raises:
        errors.ProblemError: It is named in a way by which nothing can be paid.
    """
    if account.scheme_name == WALLET:
        try:
            return ids.decode(Prefix.WALLET, account.identification)
        except ValueError:
            raise field_error(f"{path}.Identification", _IDENTIFIER, "there can't be such a wallet") from None
    scheme = _ALIASES.get(account.scheme_name)
    if scheme is None:
        raise field_error(f"{path}.SchemeName", _SCHEME, "no payment can be sent to accounts of this scheme")
    try:
        return AliasKey(scheme, wallets.new_alias(scheme, account.identification))
    except errors.ProblemError:
        raise field_error(f"{path}.Identification", _IDENTIFIER, "there can't be such an account") from None


def check_debtor(account: NamedAccount, path: str) -> None:
    """Refuse a payer's account that no wallet here could be named by.

    Raises:
        errors.ProblemError: It is of another scheme.
    """
    if account.scheme_name not in _SCHEMES:
        raise field_error(f"{path}.SchemeName", _SCHEME, "no account here is named by this scheme")


async def debtor_of(call: Call, wallet_id: UUID) -> Owned:
    """Return a wallet as the account that pays, with its owner's name where there still is one."""
    async with call.tx() as tx:
        wallet = await wallets.get_wallet(tx, wallet_id)
        party = await parties.get_party(tx, wallet.party_id)
    (opened,) = await parties.open_parties(call.services.keys, call.tenant, [party])
    return Owned(WALLET, wallet.wire_id, (opened.name or wallet.wire_id)[:_LONGEST_NAME])
