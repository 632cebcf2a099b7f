"""Privacy: what is kept of people and where, what is known of one of them, and forgetting them."""

from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._async.resource import AsyncResource
from billfold.contract.common import Page
from billfold.contract.privacy import DataInventory, Erasure, ExportedData

__all__ = ["AsyncPrivacy"]


class AsyncPrivacy(AsyncResource):
    """Personal data: ``billfold.privacy``."""

    __slots__ = ()

    async def inventory(self) -> DataInventory:
        """Return where personal and card data lies, under which keys, for how long, and how much of it there is."""
        return await self._ask(operations.GET_DATA_INVENTORY)

    async def export(
        self, party_id: str, *, reason: str, limit: int | None = None, cursor: str | None = None
    ) -> Page[ExportedData]:
        """Return some of what is known of a party; ``next_cursor`` of a page leads to the next one.

        Args:
            party_id: Whose data.
            reason: Why it is read, for the audit, which has a record of each page.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.

        Raises:
            errors.NotFound: There is none with this id.
        """
        query = encoding.query(limit=limit, cursor=cursor)
        body = encoding.fields(reason=reason)
        return await self._change(operations.EXPORT_PARTY, party_id, body=body, query=query, repeatable=True)

    async def erase(self, party_id: str, *, reason: str, idempotency_key: str | None = None) -> Erasure:
        """Forget a party, once a second person has agreed.

        Args:
            party_id: Who.
            reason: Why, for the audit and for who has to agree.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.ApprovalRequired: A second person has to agree first; asked again with the same key, it is answered.
            errors.PersonRequired: The client acts for no member of staff.
            errors.PartyHasWallets: A wallet of the party isn't closed.
            errors.PartyHasPayments: Money of a payment of the party's is under way, or waits for staff, as in suspense.
            errors.PartyStillKept: The law wants the party to be known for some time yet.
            errors.PartyForgotten: It was forgotten before.
        """
        body = encoding.fields(reason=reason)
        return await self._order(operations.ERASE_PARTY, party_id, body=body, idempotency_key=idempotency_key)
