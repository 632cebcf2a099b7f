"""Seals audit trails: what was recorded since goes into a link of the trail's chain (ADR 67).

No audited transaction waits for it, or knows of it. A sealing takes the row of the trail's head, so that there is one
at a time; what it seals are the records that no link holds, whatever their ids, and the transfers behind the last one
that is sealed. These are written under the ledger's lock in the order of their ids, so nothing can show up before that
one later, and their leaves are worked out by PostgreSQL. Each transaction seals a bounded piece.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
import msgspec
import structlog

from billfold import chain, errors
from billfold.chain import TrailHead
from billfold.chain.trail import MOST_RECORDS, join_ids
from billfold.contract.platform import TenantState
from billfold_server.audit import seal_queries as queries
from billfold_server.audit.trail_reading import record_line
from billfold_server.db.stillness import Stillness
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import Database, TenantTx, Tx

__all__ = ["ORDERED", "RECORDS", "Sealed", "Sealer", "seal", "seal_piece"]

_log = structlog.stdlib.get_logger("billfold.audit")

# An instance of its own: the module's state is everybody's, and tests that draw by chance must be repeatable.
_CHANCE: Final = random.Random()  # noqa: S311 - It only has to differ.
RECORDS: Final = MOST_RECORDS
"""How many records a link holds at most."""
ORDERED: Final = 10_000
"""How many transfers a link holds at most."""
_EVERY_S: Final = 30.0
_MOST: Final = 40
"""So many links of one trail in one round; what is left waits for the next one."""
_SALT_BYTES: Final = 16
_TABLES: Final = ("audit_records", "transfers")
_MICROSECOND: Final = timedelta(microseconds=1)
_SERVED: Final = frozenset({TenantState.ACTIVE, TenantState.SUSPENDED})


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """What was sealed.

    Attributes:
        links: How many links were added.
        records: How many records they hold.
        transfers: How many transfers.
    """

    links: int = 0
    records: int = 0
    transfers: int = 0

    def __add__(self, other: "Sealed") -> "Sealed":
        return Sealed(
            links=self.links + other.links,
            records=self.records + other.records,
            transfers=self.transfers + other.transfers,
        )


async def seal(
    database: Database,
    tenant: TenantRef | None,
    *,
    most: int | None = None,
    rest: float = 0.0,
    wait: bool = False,
    looked: Callable[[datetime | None], None] = lambda _: None,
) -> Sealed:
    """Seal what a trail has unsealed, a link at a time.

    Args:
        database: Where it is.
        tenant: Whose trail; the platform's own where absent.
        most: How many links at most; as many as it takes where absent.
        rest: For how many times as long as a link took to leave the process and PostgreSQL to others, before the next.
        wait: Whether to wait while another process seals the trail; otherwise that is left to it.
        looked: Told at each look when the oldest was recorded that isn't sealed; the last one is how it stands then.
    """
    done = Sealed()
    while True:
        begun_s = time.monotonic()
        async with database.tx_of(tenant) as tx:
            query = queries.UNSEALED_SINCE if tenant is not None else queries.UNSEALED_SINCE_OF_PLATFORM
            since: datetime | None = await tx.fetchval(query)
            looked(since)
            if since is None or done.links == most:
                break
            piece = await seal_piece(tx, wait=wait)
        if piece is None:
            break
        done += piece
        await asyncio.sleep(rest * (time.monotonic() - begun_s))
    return done


async def seal_piece(tx: Tx, *, records: int = RECORDS, ordered: int = ORDERED, wait: bool = False) -> Sealed | None:
    """Add one link to a trail's chain, and return what it holds; None where there is nothing, or another is at it.

    Args:
        tx: A transaction on the trail.
        records: How many records it holds at most.
        ordered: How many transfers.
        wait: Whether to wait for another that is at it.
    """
    head = await tx.fetchrow(queries.LOCK_HEAD if wait else queries.LOCK_HEAD_UNLESS_BUSY)
    if head is None:
        return None
    rows = await tx.fetch(queries.UNSEALED, records)
    ordered_to, number, leaves = head["ordered_to"], 0, b""
    if isinstance(tx, TenantTx):
        found = await tx.fetchrow(queries.ORDERED_LEAVES, ordered_to, ordered)
        assert found is not None, "an aggregate has one row"
        number, leaves = found["number"], found["leaves"]
        ordered_to = found["newest"] or ordered_to
    if not rows and not number:
        return None
    record_ids = join_ids([row["id"] for row in rows])
    first = chain.seal_leaf(record_ids=record_ids, ordered=leaves, ordered_to=ordered_to)
    salts = [secrets.token_bytes(_SALT_BYTES) for _ in rows]
    tree = [first, *(record_line(row, salt=salt).leaf() for row, salt in zip(rows, salts, strict=True))]
    # A clock that is put back must not bring links out of order.
    sealed_at = max(datetime.now(UTC), head["sealed_at"] + _MICROSECOND)
    before = TrailHead(number=head["number"], hash=head["hash"], skips=head["skips"])
    after, _ = before.extend(tree, sealed_at)
    await tx.execute(
        queries.NEW_LINK, after.number, sealed_at, b"".join(tree), record_ids, leaves, ordered_to, after.hash
    )
    if rows:
        marked = await tx.execute(queries.MARK, after.number, [row["id"] for row in rows], salts)
        if marked != f"UPDATE {len(rows)}":
            # Retention has deleted some of them meanwhile.
            raise errors.Busy("audit records went while they were being sealed", retry_after_s=1)
    await tx.execute(queries.MOVE_HEAD, after.number, after.hash, after.skips, sealed_at, ordered_to)
    return Sealed(links=1, records=len(rows), transfers=number)


class Sealer:
    """Seals every trail about twice a minute, in one of the deployment's processes at a time.

    A tenant whose trail was sealed whole is passed over for as long as nothing is written there (ADR 68).

    Args:
        database: The door to the trails.
        tenants: Lists the tenants.
        every_s: How long after one round the next one begins.
        all_every: In each so many rounds no tenant is passed over.
        count: Counts looks by what came of them: ``done``, ``put_off`` or ``failed``.
        sealed_until: Told after a round when the oldest was recorded that isn't sealed, over all trails; where
            everything is, when the round began. After one in which a trail couldn't be looked at it is told nothing.
    """

    def __init__(
        self,
        database: Database,
        tenants: Callable[[], Awaitable[Sequence[TenantRef]]],
        *,
        every_s: float = _EVERY_S,
        all_every: int = 20,
        count: Callable[[str], None] = lambda _: None,
        sealed_until: Callable[[datetime], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._tenants = tenants
        self._every_s = every_s
        self._count = count
        self._sealed_until = sealed_until
        self._stillness = Stillness(_TABLES, all_every=all_every)

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            # Processes that have started together shall not ask together for ever.
            await asyncio.sleep(self._every_s * _CHANCE.uniform(0.4, 0.6))
            try:
                await self.look()
            except errors.Unavailable:
                _log.warning("sealing_waits_for_database")
            except asyncpg.UndefinedTableError:
                # A server may be newer than the platform's schema for as long as that is being brought up to date.
                _log.warning("sealing_waits_for_migrations")

    async def look(self) -> bool:
        """Seal all trails, unless another process has done so just now, and tell whether it was done here."""
        # Of a tenant whose schema is behind, what was recorded waits until that is brought up to date.
        served = [each for each in await self._tenants() if each.state in _SERVED and not each.is_behind]
        async with self._database.platform_tx() as tx:
            if await tx.fetchval(queries.CLAIM_ROUND, self._every_s) is None:
                return False
            counts = await self._stillness.begin(tx, served)
        begun = datetime.now(UTC)
        until = [await self._seal(None, begun)]
        for tenant in served:
            count = counts.get(tenant.id)
            if self._stillness.is_still(tenant.id, count):
                continue
            until.append(await self._seal(tenant, begun))
            if until[-1] == begun:
                self._stillness.note(tenant.id, count)
        known = [each for each in until if each is not None]
        if len(known) == len(until):
            self._sealed_until(min(known))
        return True

    async def _seal(self, tenant: TenantRef | None, begun: datetime) -> datetime | None:
        """Seal one trail. What fails holds up no other, and is tried again in the next round.

        Returns:
            Up to when it is sealed, which is the beginning of the round at the most; None where nobody could look.
        """
        name = "platform" if tenant is None else tenant.slug
        until: datetime | None = None

        def looked(since: datetime | None) -> None:
            nonlocal until
            until = begun if since is None else min(since, begun)

        try:
            await seal(self._database, tenant, most=_MOST, rest=1.0, looked=looked)
        except errors.Unavailable:
            self._count("put_off")
            _log.info("sealing_put_off", trail=name)
        except Exception:  # noqa: BLE001 - it is logged, and the next round may do better
            if tenant is not None and not await self._is_served(tenant):
                return begun
            self._count("failed")
            _log.exception("sealing_failed", trail=name)
        else:
            self._count("done")
        return until

    async def _is_served(self, tenant: TenantRef) -> bool:
        """Tell whether a tenant is still there: one that is being deleted fails in any way."""
        every: Any = await self._tenants()
        return any(each.id == tenant.id and each.state in _SERVED for each in every)
