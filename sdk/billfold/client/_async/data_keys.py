"""Data keys: under which keys a tenant's personal and card data lie."""

from typing import Literal

from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._async.resource import AsyncPages, AsyncResource
from billfold.contract.data_keys import DataKeyStatus, ForgottenSubject, KeyDomain

__all__ = ["AsyncDataKeys"]

_Domain = KeyDomain | Literal["data", "cards"]


class AsyncDataKeys(AsyncResource):
    """The keys of personal and card data: ``billfold.data_keys``. A program's own signing keys are in another place."""

    __slots__ = ()

    async def status(self) -> DataKeyStatus:
        """Return where the keys of all domains stand."""
        return await self._ask(operations.GET_DATA_KEYS)

    async def rotate(self, *, domain: _Domain | None = None, reason: str | None = None) -> DataKeyStatus:
        """Replace the tenant key and the epoch of personal data.

        What is made from now on lies under the new ones; what is there is brought along in the background.

        Args:
            domain: ``data``, also where absent. The keys of ``cards`` are out of the API's reach: an operator rotates
                them by ``billfold keys rotate --domain cards``.
            reason: Why, for the audit.

        Raises:
            errors.FeatureDisabled: The keys of cards were asked for.
            errors.KeysUnavailable: What keeps the tenant key doesn't answer.
        """
        body = encoding.fields(domain=domain, reason=reason)
        return await self._change(operations.ROTATE_DATA_KEYS, body=body)

    async def shred(self, *, party_id: str, reason: str, idempotency_key: str | None = None) -> ForgottenSubject:
        """Destroy a party's keys, so that nothing under them can be read again; another person must agree first.

        Args:
            party_id: Whose.
            reason: Why, for the audit.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.ApprovalRequired: It waits for another person; asked again with the same key, it answers.
            errors.PersonRequired: The client acts for no member of staff.
            errors.NotFound: There is no such party.
        """
        body = encoding.fields(party_id=party_id, reason=reason)
        return await self._order(operations.SHRED_SUBJECT, body=body, idempotency_key=idempotency_key)

    def forgotten_subjects(
        self, *, limit: int | None = None, cursor: str | None = None
    ) -> AsyncPages[ForgottenSubject]:
        """List the subjects whose keys were destroyed, by their ids.

        Args:
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        return self._list(operations.LIST_FORGOTTEN_SUBJECTS, query=encoding.query(limit=limit, cursor=cursor))
