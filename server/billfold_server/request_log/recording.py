"""Sees what was asked and answered, and writes it down after the answer, many at a time.

A request costs a look at its tenant's manifest and, where that wants a log, one small object; nobody waits for the
rest. What is seen is kept in bounded memory until it is written, twice a second. What can't be kept or written is
dropped and counted: a log holds up nothing, and a process that is killed loses what it had seen in the last moment.
"""

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

import structlog

from billfold import ids
from billfold_server.request_log import queries
from billfold_server.request_log.rows import RequestRow, Seen
from billfold_server.request_log.rules import SENT
from billfold_server.request_log.showing import READ_BYTES, Shower

if TYPE_CHECKING:
    from billfold_server.http.answers import Header
    from billfold_server.http.context import RequestContext
    from billfold_server.http.metrics import Metrics
    from billfold_server.tenancy.context import TenantRef
    from billfold_server.tenancy.service import Registry
    from billfold_server.tenancy.transaction import Database

__all__ = ["Recorder"]

_EVERY_S: Final = 0.5
_MOST: Final = 1_000
"""Requests of one tenant that are remembered until they are written."""
_MOST_BYTES: Final = 16 * 1024 * 1024
"""Of all tenants' messages together."""
_TOGETHER: Final = 200
"""Rows of one statement."""
_AT_ONCE: Final = 8
"""How many are made ready before others have their turn: half a millisecond."""
_AT_ONCE_BYTES: Final = 64 * 1024
"""But no more than so much of their messages, where these are large."""
_SURFACES: Final = ("/v1/", "/oauth/", "/open-banking/")
_OF_ROW: Final = 2_000
"""What a request takes in memory beside its messages."""

_log = structlog.stdlib.get_logger("billfold.request_log")


class _Waiting:
    """What was seen of a tenant and isn't written yet."""

    __slots__ = ("bytes", "requests", "tenant")

    def __init__(self, tenant: "TenantRef") -> None:
        self.tenant = tenant
        self.requests: list[Seen] = []
        self.bytes = 0


class Recorder:
    """What this process has seen and not written yet.

    Args:
        database: Where it is written.
        registry: Which tenants there are.
        metrics: Where it is counted.
        personal: The names of the contract's members that tell of people.
    """

    def __init__(
        self, database: "Database", registry: "Registry", metrics: "Metrics", personal: Collection[str]
    ) -> None:
        self._database = database
        self._registry = registry
        self._metrics = metrics
        self._shower = Shower(personal)
        self._waiting: dict[UUID, _Waiting] = {}
        self._bytes = 0
        self._writing: dict[UUID, asyncio.Task[None]] = {}

    def note(
        self,
        context: "RequestContext",
        method: str,
        query: bytes,
        answer: "tuple[int, list[Header], bytes]",
        took_s: float,
    ) -> None:
        """Remember a request that was answered, if its address is one of those that are logged and there is room."""
        # An address may be spelled in several ways, all of which lead to the operation.
        path = context.path if context.operation is None else context.operation.path
        if not path.startswith(_SURFACES):
            return
        tenant = context.tenant
        assert tenant is not None, "what is logged is a tenant's"
        waiting = self._waiting.get(tenant.id)
        if waiting is None:
            waiting = self._waiting[tenant.id] = _Waiting(tenant)
        status, headers, answered = answer
        # A head may be far larger than what is shown of it.
        sent = {name: value for name in SENT if (value := context.headers.get(name)) is not None}
        size = _OF_ROW + min(len(context.body), READ_BYTES) + min(len(answered), READ_BYTES)
        size += len(context.path) + len(query) + sum(map(len, sent.values()))
        if len(waiting.requests) >= _MOST or self._bytes + size > _MOST_BYTES:
            self._metrics.requests_logged("dropped", 1)
            return
        self._bytes += size
        waiting.bytes += size
        waiting.requests.append(
            Seen(
                id=ids.uuid7_at(datetime.now(UTC)),
                request_id=context.request_id,
                method=method,
                path=context.path,
                query=query,
                operation=context.operation,
                client_id=context.client_id,
                status=status,
                code=context.problem.code if context.problem is not None else None,
                took_ms=int(took_s * 1000),
                sent=sent,
                body=context.body if len(context.body) <= READ_BYTES else None,
                answered=headers,
                answer=answered if len(answered) <= READ_BYTES else None,
            )
        )

    async def write(self, tenant_id: UUID | None = None) -> None:
        """Write down what was seen; when this returns, it is in the log, or was dropped.

        Whoever is cancelled meanwhile waits no longer; what is being written is written all the same.

        Args:
            tenant_id: Of which tenant alone; of all of them where absent.
        """
        for each in [*self._writing, *self._waiting] if tenant_id is None else [tenant_id]:
            # What is being written was seen before, and what wasn't seen by then comes after it.
            if (before := self._writing.get(each)) is not None:
                await asyncio.shield(before)
            # Once is enough: whatever is seen from here on wasn't asked for, and a busy tenant's would never end.
            if each in self._waiting:
                await asyncio.shield(self._writing.get(each) or self._begin(each))

    def _begin(self, tenant_id: UUID) -> "asyncio.Task[None]":
        """Begin to write what was seen of a tenant, which nobody else does now."""
        task = self._writing[tenant_id] = asyncio.create_task(self._write_all(tenant_id), name="request log")
        return task

    async def _write_all(self, tenant_id: UUID) -> None:
        waiting = self._waiting.pop(tenant_id)
        self._bytes -= waiting.bytes
        try:
            for begin in range(0, len(waiting.requests), _TOGETHER):
                await self._write(waiting.tenant, waiting.requests[begin : begin + _TOGETHER])
        finally:
            del self._writing[tenant_id]

    async def _write(self, tenant: "TenantRef", requests: list[Seen]) -> None:
        try:
            rows = await self._rows(requests)
            async with self._database.tx(tenant) as tx:
                await queries.add(tx, rows)
        except Exception:  # noqa: BLE001 - a log holds up nothing else
            known = self._registry.at_hand(tenant.slug)
            if known is None or known.id != tenant.id:
                # The tenant is gone, and its log with it.
                return
            _log.warning("requests aren't in the log", tenant=tenant.slug, requests=len(requests), exc_info=True)
            self._metrics.requests_logged("failed", len(requests))
        else:
            self._metrics.requests_logged("written", len(requests))

    async def _rows(self, requests: list[Seen]) -> list[RequestRow]:
        rows, size, count = [], 0, 0
        for each in requests:
            rows.append(self._shower.row(each))
            size += len(each.body or b"") + len(each.answer or b"")
            count += 1
            if count >= _AT_ONCE or size >= _AT_ONCE_BYTES:
                size = count = 0
                await asyncio.sleep(0)
        return rows

    async def run(self) -> None:
        """Write down what was seen, twice a second, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            if self._waiting:
                await self.write()
