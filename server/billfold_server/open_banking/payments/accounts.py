"""How this interface names accounts of payers and payees, and which wallets those are."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from msgspec import UNSET, UnsetType

from billfold import errors, ids
from billfold.contract.wallets import AliasScheme
from billfold.ids import Prefix
from billfold_server.http.routing import Call
from billfold_server.open_banking.accounts.words import WALLET, identification_of
from billfold_server.open_banking.edge.errors import UNSUPPORTED_ACCOUNT, UNSUPPORTED_SCHEME, field_error
from billfold_server.parties import service as parties
from billfold_server.wallets import service as wallets
from billfold_server.wallets.service import AliasKey

__all__ = ["NamedAccount", "Owned", "check_debtor", "creditor_of", "debtor_of", "naming_creditor"]

_ALIASES: Final = {
    "UK.OBIE.IBAN": AliasScheme.IBAN,
    "UK.OBIE.SortCodeAccountNumber": AliasScheme.SORT_CODE_ACCOUNT_NUMBER,
}
_LONGEST_NAME: Final = 70


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
    return _read(account, path, "no payment can be sent to accounts of this scheme")


@contextmanager
def naming_creditor(path: str) -> Iterator[None]:
    """Say of a creditor that nobody knows where in the order it stands."""
    try:
        yield
    except errors.CreditorUnknown as error:
        raise errors.CreditorUnknown(error.detail, param=path) from error


def _read(account: NamedAccount, path: str, unknown: str) -> UUID | AliasKey:
    if account.scheme_name == WALLET:
        try:
            return ids.decode(Prefix.WALLET, account.identification)
        except ValueError:
            raise field_error(f"{path}.Identification", UNSUPPORTED_ACCOUNT, "there can't be such a wallet") from None
    scheme = _ALIASES.get(account.scheme_name)
    if scheme is None:
        raise field_error(f"{path}.SchemeName", UNSUPPORTED_SCHEME, unknown)
    try:
        return AliasKey(scheme, wallets.new_alias(scheme, account.identification))
    except errors.ProblemError:
        raise field_error(f"{path}.Identification", UNSUPPORTED_ACCOUNT, "there can't be such an account") from None


def check_debtor(account: NamedAccount | UnsetType, path: str) -> None:
    """Refuse a payer's account, where one is named, that can't be one.

    Whether it is kept here and is the customer's is seen once they have signed in, and told nobody before (ADR 49).

    Raises:
        errors.ProblemError: It is of another scheme, or isn't formed as its scheme is.
    """
    if account is not UNSET:
        _read(account, path, "no account here is named by this scheme")


async def debtor_of(call: Call, wallet_id: UUID) -> Owned:
    """Return a wallet as the account that pays, with its owner's name where there still is one.

    It is named as who reads accounts sees it first: by sort code and account number or IBAN, where it has them.
    """
    async with call.tx() as tx:
        wallet = await wallets.get_wallet(tx, wallet_id)
        ibans = await wallets.list_ibans(tx, [wallet_id])
        party = await parties.get_party(tx, wallet.party_id)
    (opened,) = await parties.open_parties(call.services.keys, call.tenant, [party])
    scheme, number = identification_of(wallet.wire_id, ibans.get(wallet_id))[0]
    return Owned(scheme, number, (opened.name or wallet.wire_id)[:_LONGEST_NAME])
