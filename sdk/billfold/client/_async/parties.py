"""Parties: the people and companies that own wallets."""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import UNSET, UnsetType

from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._async.resource import AsyncPages, AsyncResource
from billfold.contract.parties import Party, PartyKind, PartyRole

__all__ = ["AsyncParties"]

_Kind = PartyKind | Literal["person", "company"]
_Role = PartyRole | Literal["customer", "merchant"]


class AsyncParties(AsyncResource):
    """People and companies: ``billfold.parties``."""

    __slots__ = ()

    async def create(
        self,
        *,
        kind: _Kind,
        name: str,
        external_id: str | None = None,
        email: str | None = None,
        roles: Sequence[_Role] | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Party:
        """Create a person or company.

        Args:
            kind: ``person`` or ``company``.
            name: What the party is called.
            external_id: The caller's own id for it, unique in the tenant.
            email: Where it can be reached.
            roles: What it does at the tenant; a customer where absent.
            metadata: The caller's own keys and values.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.ExternalIdTaken: Another party has the external id.
        """
        body = encoding.fields(
            kind=kind, name=name, external_id=external_id, email=email, roles=roles, metadata=metadata
        )
        return await self._order(operations.CREATE_PARTY, body=body, idempotency_key=idempotency_key)

    async def get(self, party_id: str) -> Party:
        """Return a party.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return await self._ask(operations.GET_PARTY, party_id)

    async def update(
        self,
        party_id: str,
        *,
        name: str | UnsetType = UNSET,
        external_id: str | UnsetType | None = UNSET,
        email: str | UnsetType | None = UNSET,
        roles: Sequence[_Role] | UnsetType = UNSET,
        metadata: Mapping[str, str] | UnsetType = UNSET,
        if_match: int | str | None = None,
    ) -> Party:
        """Change a party. What isn't given stays, None clears, metadata is replaced as a whole.

        Args:
            party_id: Which one.
            name: What it is called from now on.
            external_id: The caller's own id for it.
            email: Where it can be reached.
            roles: What it does at the tenant.
            metadata: The caller's own keys and values.
            if_match: The ``version`` that the caller has read; without it, the change is made whatever was changed
                since.

        Raises:
            errors.PreconditionFailed: The party has changed since that version.
            errors.ExternalIdTaken: Another party has the external id.
        """
        body = encoding.changes(name=name, external_id=external_id, email=email, roles=roles, metadata=metadata)
        return await self._change(operations.UPDATE_PARTY, party_id, body=body, if_match=if_match)

    def list(
        self,
        *,
        external_id: str | None = None,
        kind: _Kind | None = None,
        q: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> AsyncPages[Party]:
        """List parties.

        Args:
            external_id: Only the party with this id of the caller's.
            kind: Only people, or only companies.
            q: Only those whose name or address holds this text.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(external_id=external_id, kind=kind, q=q, limit=limit, cursor=cursor)
        return self._list(operations.LIST_PARTIES, query=query)
