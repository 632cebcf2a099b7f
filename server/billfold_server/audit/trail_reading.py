"""An audit trail read from end to end, as of one moment: what export and verification look at.

The lines and their order are those of ``billfold.chain.trail_lines``. Memory doesn't grow with the trail.
"""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold.chain import Head, TrailVerification, TrailVerifier
from billfold.chain.lines import name_of
from billfold.chain.trail import split_ids
from billfold.chain.trail_lines import (
    TRAIL_FORMAT,
    AuditRecordLine,
    OrderedLine,
    SealLine,
    TrailEndLine,
    TrailHeadLine,
    TrailLine,
    encode_trail_line,
)
from billfold_server.audit import seal_queries as queries
from billfold_server.audit.service import HeadMissingError, get_head
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import Database, TenantTx, Tx

__all__ = ["export_trail", "read_trail", "record_line", "verify_trail"]

_LONG_MS: Final = 3_600_000
_LINKS: Final = 20
"""Each of half a megabyte at most."""
_WINDOW: Final = 1_000


async def verify_trail(
    database: Database, tenant: TenantRef | None, *, trusted: Head | None = None
) -> TrailVerification:
    """Verify a trail as it lies in the database, by the same rules as an export.

    Args:
        database: Where it lies.
        tenant: Whose trail it is; the platform's own where absent.
        trusted: A head that is known from elsewhere.
    """
    verifier = TrailVerifier(trusted=trusted)
    try:
        async with database.tx_of(tenant, snapshot=True, statement_timeout_ms=_LONG_MS) as tx:
            async for line in read_trail(tx):
                verifier.take(line)
    except HeadMissingError:
        verifier.unreadable("trail", None)
    return verifier.finish()


async def export_trail(database: Database, tenant: TenantRef | None) -> AsyncIterator[bytes]:
    """Yield a trail line by line, without line ends, all as of one moment.

    Raises:
        HeadMissingError: Its head is gone.
    """
    async with database.tx_of(tenant, snapshot=True, statement_timeout_ms=_LONG_MS) as tx:
        async for line in read_trail(tx):
            yield encode_trail_line(line)


async def read_trail(tx: Tx) -> AsyncIterator[TrailLine]:
    """Yield the lines of a trail in the order of an export; the transaction must see it as of one moment.

    Raises:
        HeadMissingError: Its head is gone.
    """
    counts: Counter[str] = Counter()
    async for line in _lines(tx):
        counts[name_of(line)] += 1
        yield line
    yield TrailEndLine(counts=dict(counts))


async def _lines(tx: Tx) -> AsyncIterator[TrailLine]:
    tenant = tx.tenant.slug if isinstance(tx, TenantTx) else None
    oldest: UUID | None = await tx.fetchval(queries.OLDEST)
    yield TrailHeadLine(format=TRAIL_FORMAT, tenant=tenant, oldest=oldest, **msgspec.structs.asdict(await get_head(tx)))
    ordered = _Ordered(tx)
    sealed = 0
    async for link in _links(tx):
        yield link
        for row in await tx.fetch(queries.RECORDS_OF_IDS, split_ids(link.record_ids)):
            sealed += row["link"] is not None
            yield record_line(row)
        if link.ordered_to is not None:
            async for order in ordered.up_to(link.ordered_to):
                yield order
    whole = sealed == await tx.fetchval(queries.COUNT_SEALED)
    async for record in _unsealed(tx) if whole else _strays(tx):
        yield record
    async for order in ordered.up_to(UUID(int=2**128 - 1)):
        yield order


async def _links(tx: Tx) -> AsyncIterator[SealLine]:
    after = -(2**63)
    while rows := await tx.fetch(queries.LINKS, after, _LINKS):
        for row in rows:
            yield SealLine(**dict(row))
        after = rows[-1]["number"]


class _Ordered:
    """Who ordered transfers, in the order of their ids; a platform has none."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._rows: list[Any] = []
        self._place = 0
        self._after: UUID | None = None
        self._more = isinstance(tx, TenantTx)

    async def up_to(self, last: UUID) -> AsyncIterator[OrderedLine]:
        """Go on up to an id, which is included."""
        while True:
            if self._place == len(self._rows):
                if not self._more:
                    return
                self._rows, self._place = await self._tx.fetch(queries.ORDERED, self._after, _WINDOW), 0
                self._more = len(self._rows) == _WINDOW
                if not self._rows:
                    return
                self._after = self._rows[-1]["id"]
            row = self._rows[self._place]
            if row["id"] > last:
                return
            self._place += 1
            yield OrderedLine(**dict(row))


async def _unsealed(tx: Tx) -> AsyncIterator[AuditRecordLine]:
    async for rows in _windows(tx, queries.UNSEALED_IN_ORDER):
        for row in rows:
            yield record_line(row)


async def _strays(tx: Tx) -> AsyncIterator[AuditRecordLine]:
    """Yield the records that no link holds, also those that say that one does."""
    async for rows in _windows(tx, queries.RECORDS_IN_ORDER):
        numbers = list({row["link"] for row in rows if row["link"] is not None})
        found = await tx.fetch(queries.LINK_IDS, numbers)
        held = {row["number"]: set(split_ids(row["record_ids"])) for row in found}
        for row in rows:
            if row["link"] is None or row["id"] not in held.get(row["link"], ()):
                yield record_line(row)


async def _windows(tx: Tx, query: str) -> AsyncIterator[list[Any]]:
    after: UUID | None = None
    while rows := await tx.fetch(query, after, _WINDOW):
        yield rows
        after = rows[-1]["id"]


def record_line(row: Any, **changes: Any) -> AuditRecordLine:
    """Return a record's row as its line, with what of it is otherwise."""
    facts = "null" if row["facts"] is None else row["facts"]
    return AuditRecordLine(**{**dict(row), "facts": msgspec.Raw(facts.encode()), **changes})
