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
_SURFACES: Final = ("/v1/", "/oauth/", "/open-banking/")
_OF_ROW: Final = 2_000
"""What a request takes in memory beside its messages."""

_log = structlog.stdlib.get_logger("billfold.request_log")


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
        self._waiting: dict[UUID, tuple[TenantRef, list[Seen]]] = {}
        self._bytes = 0
        self._alone = asyncio.Lock()

    def note(
        self,
        context: "RequestContext",
        method: str,
        query: bytes,
        answer: "tuple[int, list[Header], bytes]",
        took_s: float,
    ) -> None:
        """Remember a request that was answered, if its address is one of those that are logged and there is room."""
        if not context.path.startswith(_SURFACES):
            return
        tenant = context.tenant
        assert tenant is not None, "what is logged is a tenant's"
        _, waiting = self._waiting.setdefault(tenant.id, (tenant, []))
        status, headers, answered = answer
        # A head may be far larger than what is shown of it.
        sent = {name: value for name in SENT if (value := context.headers.get(name)) is not None}
        size = _OF_ROW + min(len(context.body), READ_BYTES) + min(len(answered), READ_BYTES)
        size += len(context.path) + len(query) + sum(map(len, sent.values()))
        if len(waiting) >= _MOST or self._bytes + size > _MOST_BYTES:
            self._metrics.requests_logged("dropped", 1)
            return
        self._bytes += size
        waiting.append(
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

    async def write(self) -> None:
        """Write down what was seen; when this returns, it is in the log, or was dropped."""
        async with self._alone:
            seen, self._waiting, self._bytes = self._waiting, {}, 0
            for tenant, requests in seen.values():
                for begin in range(0, len(requests), _TOGETHER):
                    await self._write(tenant, requests[begin : begin + _TOGETHER])

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
        rows = []
        for place, each in enumerate(requests, 1):
            rows.append(self._shower.row(each))
            if not place % _AT_ONCE:
                await asyncio.sleep(0)
        return rows

    async def run(self) -> None:
        """Write down what was seen, twice a second, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            if self._waiting:
                await self.write()
