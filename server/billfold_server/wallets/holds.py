"""The commands of holds on wallets, to their capture. All pure; what else becomes of them is the ledger's."""

from collections.abc import Hashable
from uuid import UUID

from billfold import errors, ids
from billfold.contract.ledger import CaptureHold, CreateHold
from billfold.ids import Prefix
from billfold_server.ledger.service import (
    AccountRow,
    Books,
    Capture,
    Draft,
    HoldOrder,
    HoldRow,
    Keys,
    Kind,
    Reply,
    WalletKey,
    capture_hold,
    capture_keys,
    open_hold,
)
from billfold_server.wallets import rules
from billfold_server.wallets.kinds import check_balance_max, wallet_account
from billfold_server.wallets.rows import WalletRow

__all__ = ["CAPTURE_HOLD", "CREATE_HOLD"]


def _hold_keys(_books: Books, body: CreateHold) -> Keys:
    currency = body.amount.currency
    wallets: list[Hashable] = [ids.decode(Prefix.WALLET, body.wallet_id)]
    if body.to_wallet_id is not None:
        wallets.append(ids.decode(Prefix.WALLET, body.to_wallet_id))
    accounts: list[Hashable] = [WalletKey(wallet, currency) for wallet in wallets if isinstance(wallet, UUID)]
    if body.to_account_id is not None:
        accounts.append(ids.decode(Prefix.ACCOUNT, body.to_account_id))
    return {WalletRow: wallets, AccountRow: accounts}


def _create_hold(draft: Draft, body: CreateHold) -> Reply:
    amount = body.amount
    if body.to_wallet_id is not None and body.to_account_id is not None:
        detail = "A hold has one destination: a wallet or an account."
        raise errors.HoldDestinationAmbiguous(detail, param="to_account_id")
    if body.to_wallet_id == body.wallet_id:
        raise errors.SameWallet(param="to_wallet_id")
    rules.check_limit(
        "transfer_max_minor", draft.manifest.limits.transfer_max_minor, amount.amount_minor, amount.currency
    )
    wallet_id = ids.decode(Prefix.WALLET, body.wallet_id)
    account = wallet_account(draft, wallet_id, amount.currency, "wallet_id")
    to_account = _hold_destination(draft, body, account)
    if to_account is not None and to_account.wallet_id is not None:
        check_balance_max(draft, to_account, amount.amount_minor)
    return open_hold(draft, HoldOrder(account=account, wallet_id=wallet_id, to_account=to_account, order=body))


def _hold_destination(draft: Draft, body: CreateHold, account: AccountRow) -> AccountRow | None:
    """Return the account that a hold is for, where it names one; it may be another wallet's, by either name."""
    if body.to_wallet_id is not None:
        return wallet_account(draft, ids.decode(Prefix.WALLET, body.to_wallet_id), body.amount.currency, "to_wallet_id")
    if body.to_account_id is None:
        return None
    destination = draft.get_account(ids.decode(Prefix.ACCOUNT, body.to_account_id), "to_account_id")
    if destination.id == account.id:
        raise errors.SameWallet(param="to_account_id")
    if destination.currency != body.amount.currency:
        raise errors.CurrencyMismatch(account_id=destination.wire_id, currency=destination.currency)
    return destination


CREATE_HOLD: Kind[CreateHold] = Kind("hold.create", _hold_keys, _create_hold)


def _capture_keys(books: Books, body: Capture) -> Keys:
    wanted = capture_keys(books, body)
    if body.order.to_wallet_id is not None:
        wanted[WalletRow] = [ids.decode(Prefix.WALLET, body.order.to_wallet_id)]
    return wanted


def _capture_destination(draft: Draft, hold: HoldRow, order: CaptureHold) -> AccountRow | None:
    """Return the account that a capture names itself, unless it is the one that the hold is for anyway."""
    if order.to_wallet_id is not None:
        wallet_id = ids.decode(Prefix.WALLET, order.to_wallet_id)
        if wallet_id == hold.wallet_id:
            raise errors.SameWallet(param="to_wallet_id")
        account = wallet_account(draft, wallet_id, hold.currency, "to_wallet_id")
    elif order.to_account_id is not None:
        account = draft.get_account(ids.decode(Prefix.ACCOUNT, order.to_account_id), "to_account_id")
        if account.id == hold.account_id:
            raise errors.SameWallet(param="to_account_id")
    else:
        return None
    return None if account.id == hold.to_account_id else account


def _capture_hold(draft: Draft, body: Capture) -> Reply:
    """Capture a hold; a wallet that it goes to is opened in the hold's currency where it has to be.

    What the hold's own destination may come to hold was checked when the hold was made; another one is checked now.
    """
    if body.order.to_wallet_id is not None and body.order.to_account_id is not None:
        detail = "A capture has one destination: a wallet or an account."
        raise errors.HoldDestinationAmbiguous(detail, param="to_account_id")
    hold = draft.find(HoldRow, body.hold_id)
    other = None if hold is None else _capture_destination(draft, hold, body.order)
    reply = capture_hold(draft, body)
    if other is not None and other.wallet_id is not None:
        check_balance_max(draft, draft.get_account(other.id), 0)
    return reply


CAPTURE_HOLD: Kind[Capture] = Kind("hold.capture", _capture_keys, _capture_hold)
