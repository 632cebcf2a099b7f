"""What a tenant shows of itself: who it is, its clock, its events and its audit."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Final

from billfold import errors
from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._async.backend import sleep
from billfold.client._async.resource import AsyncPages, AsyncResource
from billfold.client._retry import is_worth_repeating
from billfold.contract.platform import AuditHead, AuditRecord, Event, TenantClock, TenantInfo

__all__ = ["AsyncAuditRecords", "AsyncClock", "AsyncEvents", "AsyncTenant"]

_MOST: Final = 100
_NOWHERE: Final = 2**63 - 1
"""The last place that can be asked for, which no event will ever have."""
_LONGEST_WAIT_S: Final = 30.0
_SHORTEST_WAIT_S: Final = 0.1


class AsyncTenant(AsyncResource):
    """The tenant that the client talks to: ``billfold.tenant``."""

    __slots__ = ()

    async def get(self) -> TenantInfo:
        """Return the tenant's name, brand, currencies and features."""
        return await self._ask(operations.GET_TENANT_INFO)


class AsyncClock(AsyncResource):
    """The tenant's time, which drives holds and schedules: ``billfold.clock``."""

    __slots__ = ()

    async def get(self) -> TenantClock:
        """Return the tenant's time, and whether it can be moved."""
        return await self._ask(operations.GET_CLOCK)

    async def advance(
        self,
        by: timedelta | None = None,
        *,
        to: datetime | None = None,
        freeze: bool | None = None,
        idempotency_key: str | None = None,
    ) -> TenantClock:
        """Move a sandbox's clock forward; what falls due on the way happens.

        Args:
            by: How far, from what the clock shows when it is moved; by nothing it stands there.
            to: Until when, instead of how far.
            freeze: Whether it stands still afterwards, which it does where absent.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            TypeError: Not exactly one of ``by`` and ``to`` is given, or ``by`` is no ``timedelta``.
            errors.ProblemError: The tenant's clock can't be moved, or not to there.
        """
        if (by is None) == (to is None):
            raise TypeError("a clock is advanced by a while or to an instant")
        if by is not None and not isinstance(by, timedelta):
            raise TypeError("a clock is advanced by a timedelta, such as timedelta(days=90)")
        by_s = None if by is None else by.total_seconds()
        body = encoding.fields(to=to, by_s=by_s, freeze=freeze)
        return await self._order(operations.ADVANCE_CLOCK, body=body, idempotency_key=idempotency_key)


class AsyncEvents(AsyncResource):
    """What happened at the tenant, in order: ``billfold.events``."""

    __slots__ = ()

    def list(
        self,
        *,
        type: str | None = None,
        object_id: str | None = None,
        after: int | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> AsyncPages[Event]:
        """List events in the order of their sequence.

        Args:
            type: Only those of these types, such as ``transfer.posted`` or ``transfer.*,hold.created``.
            object_id: Only those about this object, such as a wallet or a transfer.
            after: Only those behind this sequence: that of the last event which was dealt with.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.

        Raises:
            errors.EventTypeUnknown: There are no events of such a type.
            errors.EventPlaceAhead: No event has got as far as ``after``.
        """
        query = encoding.query(type=type, object_id=object_id, after=after, limit=limit, cursor=cursor)
        return self._list(operations.LIST_EVENTS, query=query)

    async def newest(self) -> int:
        """Return the sequence of the newest event, to follow what happens from now on; 0 where there is none.

        Raises:
            errors.MalformedAnswer: The server, which is older than this, doesn't say it.
        """
        try:
            await self.list(after=_NOWHERE, limit=1).page()
        except errors.EventPlaceAhead as ahead:
            return ahead.newest_sequence
        raise errors.MalformedAnswer("a place that no event has isn't refused")

    async def follow(
        self,
        *,
        after: int,
        type: str | None = None,
        object_id: str | None = None,
        interval: timedelta = timedelta(seconds=1),
    ) -> AsyncIterator[Event]:
        """Yield events as they happen, in the order of their sequence and without end.

        Keep the sequence of an event once it is dealt with, and begin behind it the next time: so none is missed, and
        one may come again. Events are kept for a year, unless the bank says otherwise; what is older has gone.
        While the server doesn't answer, it is asked again, less and less often.

        Args:
            after: Behind which sequence to begin: that of the last event which was dealt with; 0 is the very beginning.
            type: Only those of these types, such as ``transfer.posted`` or ``transfer.*,hold.created``.
            object_id: Only those about this object, such as a wallet or a transfer.
            interval: How long to wait before asking again where nothing is new, a tenth of a second at least.

        Raises:
            ValueError: Nobody would wait.
            errors.EventTypeUnknown: There are no events of such a type.
            errors.EventPlaceAhead: The newest event is one before ``after``, as after the bank has restored its
                database to an earlier time. Go on behind its ``newest_sequence``, once that is dealt with.
            errors.ProblemError: The server refuses for good.
        """
        interval_s, away_s = interval.total_seconds(), 0.0
        if interval_s < _SHORTEST_WAIT_S:
            raise ValueError(f"an interval is {_SHORTEST_WAIT_S} s or more")
        while True:
            try:
                page = await self.list(type=type, object_id=object_id, after=after, limit=_MOST).page()
            except errors.BillfoldError as error:
                if not is_worth_repeating(error, repeatable=True):
                    raise
                away_s = min(_LONGEST_WAIT_S, max(interval_s, away_s * 2))
                await sleep(max(away_s, getattr(error, "retry_after_s", None) or 0))
                continue
            away_s = 0.0
            for event in page.data:
                after = event.sequence
                yield event
            if page.next_cursor is None:
                await sleep(interval_s)


class AsyncAuditRecords(AsyncResource):
    """Who did what, and why: ``billfold.audit_records``."""

    __slots__ = ()

    async def head(self) -> AuditHead:
        """Return the signed head of the trail's hash chain, which stands for everything that is sealed so far.

        Whoever keeps it notices a trail that is changed later; ``billfold.proofs.verify_audit_head`` verifies it.
        """
        return await self._ask(operations.GET_AUDIT_HEAD)

    def list(
        self,
        *,
        object_id: str | None = None,
        action: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> AsyncPages[AuditRecord]:
        """List audit records.

        Args:
            object_id: Only those about this object.
            action: Only those of this action, such as ``wallet.frozen``.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(object_id=object_id, action=action, limit=limit, cursor=cursor)
        return self._list(operations.LIST_AUDIT_RECORDS, query=query)
