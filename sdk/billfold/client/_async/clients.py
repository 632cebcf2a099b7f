"""API clients: who may ask for access tokens, and what each may."""

import msgspec

from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._async.resource import AsyncPages, AsyncResource
from billfold.contract.clients import Client, ClientCreated, ClientSecret, CreateClient, SetClientKeys, UpdateClient

__all__ = ["AsyncClients"]


class AsyncClients(AsyncResource):
    """API clients: ``billfold.clients``. Who manages one must itself be allowed everything that it may."""

    __slots__ = ()

    async def create(self, registration: CreateClient) -> ClientCreated:
        """Register a client. Its secret, where it has one, is in the answer and nowhere else.

        There is no idempotency key, because no secret is kept for a second answer; so this isn't repeated by itself
        when the server may have begun with it.

        Args:
            registration: What is registered, under the names of RFC 7591; from ``billfold.contract.clients``.

        Raises:
            errors.ClientMetadataRefused: It can't be registered so, under the tenant's security profile.
            errors.InsufficientScope: It would be allowed what the caller isn't.
        """
        return await self._change(operations.CREATE_CLIENT, body=msgspec.json.encode(registration))

    async def get(self, client_id: str) -> Client:
        """Return a client.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return await self._ask(operations.GET_CLIENT, client_id)

    def list(
        self, *, partner_id: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> AsyncPages[Client]:
        """List clients, the oldest first.

        Args:
            partner_id: Only those of this partner organisation.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(partner_id=partner_id, limit=limit, cursor=cursor)
        return self._list(operations.LIST_CLIENTS, query=query)

    async def update(self, client_id: str, changes: UpdateClient, *, if_match: int | str | None = None) -> Client:
        """Change what is registered of a client. What isn't given stays, None clears, lists are replaced as a whole.

        Args:
            client_id: Which one.
            changes: What shall be, under the names of RFC 7591; from ``billfold.contract.clients``.
            if_match: The ``version`` that the caller has read; without it, the change is made whatever was changed
                since.

        Raises:
            errors.PreconditionFailed: The client has changed since that version.
            errors.ClientMetadataRefused: It can't be registered so.
        """
        body = msgspec.json.encode(changes)
        return await self._change(operations.UPDATE_CLIENT, client_id, body=body, if_match=if_match)

    async def rotate_keys(self, client_id: str, keys: SetClientKeys) -> Client:
        """Replace the keys, or the certificate's name, by which a client proves who it is.

        To change keys without a pause, set the old and the new ones together first.

        Args:
            client_id: Which one.
            keys: By what it proves itself from now on; from ``billfold.contract.clients``.

        Raises:
            errors.ClientMetadataRefused: They can't be registered.
        """
        body = msgspec.json.encode(keys)
        return await self._change(operations.ROTATE_CLIENT_KEYS, client_id, body=body, repeatable=True)

    async def rotate_secret(self, client_id: str, *, overlap_s: int | None = None) -> ClientSecret:
        """Give a client another secret, which is in the answer and nowhere else.

        Args:
            client_id: Which one.
            overlap_s: For how many seconds the former secret is taken as well; an hour where absent.

        Raises:
            errors.ClientMetadataRefused: The client has no secret.
        """
        body = encoding.fields(overlap_s=overlap_s)
        return await self._change(operations.ROTATE_CLIENT_SECRET, client_id, body=body)

    async def disable(self, client_id: str) -> Client:
        """Keep a client out: within a second its tokens open nothing any more."""
        return await self._change(operations.DISABLE_CLIENT, client_id, repeatable=True)

    async def enable(self, client_id: str) -> Client:
        """Let a disabled client in again."""
        return await self._change(operations.ENABLE_CLIENT, client_id, repeatable=True)
