# Generated from billfold/client/_async/payments.py by tests/sdk/generate_sync.py. Change that one instead.

"""Payments that licensed third parties have ordered."""

from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._sync.resource import Pages, Resource
from billfold.contract.payments import Payment, PaymentStatus

__all__ = ["Payments"]


class Payments(Resource):
    """Payments that licensed third parties have ordered, as the bank sees them: ``billfold.payments``."""

    __slots__ = ()

    def get(self, payment_id: str) -> Payment:
        """Return a payment, with everything that has been heard of it and done with it.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return self._ask(operations.GET_PAYMENT, payment_id)

    def list(
        self,
        *,
        wallet_id: str | None = None,
        client_id: str | None = None,
        status: PaymentStatus | str | None = None,
        needs_attention: bool | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Pages[Payment]:
        """List payments.

        Args:
            wallet_id: Only those out of this wallet.
            client_id: Only those that this third party has ordered.
            status: Only those that stand here, such as ``ACSP``.
            needs_attention: Only those that somebody must look at, or only the others.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(
            wallet_id=wallet_id,
            client_id=client_id,
            status=status,
            needs_attention=needs_attention,
            limit=limit,
            cursor=cursor,
        )
        return self._list(operations.LIST_PAYMENTS, query=query)
