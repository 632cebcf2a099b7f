"""Consents as the bank sees them, and third parties that it keeps out."""

from typing import Literal

from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._async.resource import AsyncPages, AsyncResource
from billfold.contract.consents import (
    BlockedThirdParty,
    Consent,
    ConsentKind,
    ConsentRecord,
    ConsentStatus,
    ConsentUse,
)

__all__ = ["AsyncBlockedThirdParties", "AsyncConsents"]

_Kind = ConsentKind | Literal["account_access", "funds_confirmation", "domestic_payment", "domestic_vrp"]
_Status = ConsentStatus | Literal["AWAU", "AUTH", "RJCT", "COND", "CANC", "EXPD"]


class AsyncConsents(AsyncResource):
    """What customers have allowed licensed third parties: ``billfold.consents``."""

    __slots__ = ()

    async def get(self, consent_id: str) -> ConsentRecord:
        """Return a consent with its history, and with what was asked for and shown.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return await self._ask(operations.GET_CONSENT, consent_id)

    async def revoke(self, consent_id: str, *, reason: str, idempotency_key: str | None = None) -> Consent:
        """End a consent; it counts from the third party's next request on.

        Args:
            consent_id: Which one.
            reason: Why, for its history and the audit.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.NotFound: There is none with this id.
            errors.ConsentTransitionRefused: It has ended before.
        """
        body = encoding.fields(reason=reason)
        return await self._order(operations.REVOKE_CONSENT, consent_id, body=body, idempotency_key=idempotency_key)

    async def require_reauthentication(
        self, consent_id: str, *, reason: str, idempotency_key: str | None = None
    ) -> Consent:
        """Have a consent's customer come back: it opens nothing until they have authenticated for it again.

        Args:
            consent_id: Which one; not that of a single payment.
            reason: Why, for its history and the audit.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.NotFound: There is none with this id.
            errors.ConsentTransitionRefused: It isn't authorised, has ended, or is for one thing alone.
        """
        body = encoding.fields(reason=reason)
        operation = operations.REQUIRE_CONSENT_REAUTHENTICATION
        return await self._order(operation, consent_id, body=body, idempotency_key=idempotency_key)

    def list(
        self,
        *,
        client_id: str | None = None,
        party_id: str | None = None,
        kind: _Kind | None = None,
        status: _Status | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> AsyncPages[Consent]:
        """List consents, the newest first.

        Args:
            client_id: Only those that this third party has asked for.
            party_id: Only those that this customer has given.
            kind: Only those for this, such as ``account_access``.
            status: Only those that stand there, such as ``AUTH``.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(
            client_id=client_id, party_id=party_id, kind=kind, status=status, limit=limit, cursor=cursor
        )
        return self._list(operations.LIST_CONSENTS, query=query)

    def list_uses(
        self, consent_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> AsyncPages[ConsentUse]:
        """List what a consent was used for, by hour and operation, the last hour first.

        Args:
            consent_id: Which one.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.

        Raises:
            errors.NotFound: There is none with this id.
        """
        query = encoding.query(limit=limit, cursor=cursor)
        return self._list(operations.LIST_CONSENT_USES, consent_id, query=query)


class AsyncBlockedThirdParties(AsyncResource):
    """Third parties that the bank keeps out: ``billfold.blocked_third_parties``."""

    __slots__ = ()

    async def block(
        self,
        client_id: str | None = None,
        *,
        directory: str | None = None,
        organisation_id: str | None = None,
        reason: str,
        idempotency_key: str | None = None,
    ) -> BlockedThirdParty:
        """Keep a third party out, from its next request on. Its consents stay.

        Where a directory vouches for it, the whole organisation is kept out with all its software, and can't register
        again; otherwise the client alone. Who has no client is named by directory and organisation.

        Args:
            client_id: Any of its clients.
            directory: In place of that, the issuer of its software statements, which the bank believes.
            organisation_id: How that one names the organisation.
            reason: Why, for the audit.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.NotFound: There is no such client, or the bank believes no such directory.
        """
        body = encoding.fields(client_id=client_id, directory=directory, organisation_id=organisation_id, reason=reason)
        return await self._order(operations.BLOCK_THIRD_PARTY, body=body, idempotency_key=idempotency_key)

    async def unblock(self, client_id: str) -> None:
        """Let a third party in again, by any of its clients.

        Raises:
            errors.NotFound: It isn't blocked.
        """
        await self._change(operations.UNBLOCK_THIRD_PARTY, client_id)

    async def unblock_organisation(self, *, directory: str, organisation_id: str) -> None:
        """Let an organisation in again, by whatever it was blocked, with all its clients.

        Args:
            directory: The issuer of its software statements.
            organisation_id: How that one names it.

        Raises:
            errors.NotFound: It isn't blocked.
        """
        query = encoding.query(directory=directory, organisation_id=organisation_id)
        await self._change(operations.UNBLOCK_ORGANISATION, query=query)

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> AsyncPages[BlockedThirdParty]:
        """List the third parties that are kept out.

        Args:
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        return self._list(operations.LIST_BLOCKED_THIRD_PARTIES, query=encoding.query(limit=limit, cursor=cursor))
