# Generated from billfold/client/_async/payments.py by tests/sdk/generate_sync.py. Change that one instead.

"""Payments: ordering them, looking at them, and saying what has become of them."""

from collections.abc import Mapping, Sequence
from typing import Literal

from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._encoding import Amount
from billfold.client._sync.resource import Pages, Resource
from billfold.contract.payments import Payment, PaymentCreditor, PaymentOutcome, PaymentStatus

__all__ = ["Payments"]

_Expand = Literal["consent", "wallet", "to_wallet", "journal_entry"]
_Outcome = PaymentOutcome | Literal["settled", "returned", "noted"]
_Status = (
    PaymentStatus | Literal["RCVD", "PDNG", "ACTC", "ACCP", "ACSP", "ACWC", "ACSC", "ACCC", "RJCT", "CANC", "BLCK"]
)


class Payments(Resource):
    """Payments out of wallets, to others or to the outside, whoever has ordered them: ``billfold.payments``.

    ::

        from billfold.contract.payments import CreditorScheme, PaymentCreditor

        landlord = PaymentCreditor(scheme=CreditorScheme.IBAN, identification="GB33BUKB20201555555555")
        rent = billfold.payments.create(wallet_id=wallet.id, amount=("850.00", "GBP"), creditor=landlord)
    """

    __slots__ = ()

    def create(
        self,
        *,
        wallet_id: str,
        amount: Amount,
        creditor: PaymentCreditor,
        reference: str | None = None,
        creditor_reference: str | None = None,
        end_to_end_id: str | None = None,
        instruction_id: str | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Payment:
        """Pay somebody out of a wallet: at once where their account is a wallet's here, else by the bank's rail.

        Sent again by itself when the answer is lost, under the same key, so it is paid once at most. What becomes of a
        payment that leaves is told by events, and by ``get``.

        Args:
            wallet_id: Which wallet pays.
            amount: ``Money(1250, "EUR")`` in minor units, or ``("12.50", "EUR")``.
            creditor: The account that is paid.
            reference: What the payer writes to the payee, up to 140 characters.
            creditor_reference: By which the payee knows what is paid, such as ``RF18 5390 0754 7034``.
            end_to_end_id: The payer's own name for it, which the payee is told.
            instruction_id: The caller's own name for the order.
            metadata: The caller's own keys and values.
            idempotency_key: The caller's own key, such as the order's number; otherwise one is made, and kept over
                retries. Give one where the program itself may be ended and begin again.

        Raises:
            errors.ApprovalRequired: It is so much money that another person must agree.
            errors.InsufficientFunds: The wallet's available balance doesn't cover it.
            errors.WalletFrozen: The wallet is frozen.
            errors.LimitExceeded: A limit of the tenant refuses it.
            errors.CreditorUnsupported: There can't be such an account.
            errors.RailMissing: The account isn't a wallet's here, and nothing can leave the bank.
        """
        body = encoding.fields(
            wallet_id=wallet_id,
            amount=encoding.money(amount),
            creditor=creditor,
            reference=reference,
            creditor_reference=creditor_reference,
            end_to_end_id=end_to_end_id,
            instruction_id=instruction_id,
            metadata=metadata,
        )
        return self._order(operations.CREATE_PAYMENT, body=body, idempotency_key=idempotency_key)

    def get(self, payment_id: str, *, expand: Sequence[_Expand] = ()) -> Payment:
        """Return a payment, with everything that has been heard of it and done with it.

        Args:
            payment_id: Which one.
            expand: What to tell as a whole in ``expanded``: ``consent``, ``wallet``, ``to_wallet``, ``journal_entry``.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return self._ask(operations.GET_PAYMENT, payment_id, query=encoding.query(expand=expand))

    def resolve(
        self,
        payment_id: str,
        outcome: _Outcome,
        *,
        reason: str,
        idempotency_key: str | None = None,
    ) -> Payment:
        """Say what has become of a payment that needs attention; money that waits goes there at once.

        Args:
            payment_id: Which one.
            outcome: ``settled``, ``returned``, or ``noted`` where its money has moved before.
            reason: How that is known; it is kept in the audit.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.ApprovalRequired: It is about so much money that another person must agree.
            errors.NotFound: There is none with this id.
            errors.PaymentNotResolvable: It needs nothing, or its money isn't where this says.
        """
        body = encoding.fields(outcome=outcome, reason=reason)
        return self._order(operations.RESOLVE_PAYMENT, payment_id, body=body, idempotency_key=idempotency_key)

    def list(
        self,
        *,
        wallet_id: str | None = None,
        client_id: str | None = None,
        status: _Status | None = None,
        needs_attention: bool | None = None,
        expand: Sequence[_Expand] = (),
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Pages[Payment]:
        """List payments.

        Args:
            wallet_id: Only those out of this wallet.
            client_id: Only those that this API client, or third party, has ordered.
            status: Only those that stand here, such as ``ACSP``.
            needs_attention: Only those that somebody must look at, or only the others.
            expand: What to tell as a whole in ``expanded``: ``consent``, ``wallet``, ``to_wallet``, ``journal_entry``.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(
            wallet_id=wallet_id,
            client_id=client_id,
            status=status,
            needs_attention=needs_attention,
            expand=expand,
            limit=limit,
            cursor=cursor,
        )
        return self._list(operations.LIST_PAYMENTS, query=query)
