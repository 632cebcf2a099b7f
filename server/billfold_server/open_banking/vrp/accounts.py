"""How this interface names accounts of payers and payees, and which wallets those are."""

from typing import Final
from uuid import UUID

from billfold import errors, ids
from billfold.contract.open_banking.vrp import OBCashAccountDebtorWithName
from billfold.contract.wallets import AliasScheme
from billfold.ids import Prefix
from billfold_server.http.routing import Call
from billfold_server.open_banking.edge.errors import field_error
from billfold_server.parties import service as parties
from billfold_server.wallets import service as wallets
from billfold_server.wallets.service import AliasKey

__all__ = ["creditor_of", "debtor_of"]

_WALLET: Final = "UK.OBIE.Wallet"
_ALIASES: Final = {
    "UK.OBIE.IBAN": AliasScheme.IBAN,
    "UK.OBIE.SortCodeAccountNumber": AliasScheme.SORT_CODE_ACCOUNT_NUMBER,
}
_LONGEST_NAME: Final = 70
_IDENTIFIER, _SCHEME = "U021", "U027"


def creditor_of(account: OBCashAccountDebtorWithName, path: str) -> UUID | AliasKey:
    """Return to which wallet an account belongs, by its id or by the alias that it may be.

    Raises:
        errors.ProblemError: It is named in a way by which nothing can be paid.
    """
    if account.scheme_name == _WALLET:
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


async def debtor_of(call: Call, wallet_id: UUID) -> OBCashAccountDebtorWithName:
    """Return a wallet as the account that pays, with its owner's name where there still is one."""
    async with call.tx() as tx:
        wallet = await wallets.get_wallet(tx, wallet_id)
        party = await parties.get_party(tx, wallet.party_id)
    (opened,) = await parties.open_parties(call.services.keys, call.tenant, [party])
    return OBCashAccountDebtorWithName(
        scheme_name=_WALLET, identification=wallet.wire_id, name=(opened.name or wallet.wire_id)[:_LONGEST_NAME]
    )
