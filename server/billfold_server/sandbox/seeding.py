"""From what a sandbox's customers follow, and how far they are made."""

from datetime import datetime
from typing import Final

import msgspec

from billfold import ids
from billfold_server.db import jobs
from billfold_server.db.jobs import NewJob
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.transaction import TenantTx, Tx

__all__ = ["CARDS_JOB", "DEFAULT_SEED", "Begun", "begin", "end", "find", "order_cards"]

DEFAULT_SEED: Final = 0
"""From what customers follow where nobody has said it."""

CARDS_JOB: Final = "sandbox.cards"
"""The job that has the customers' cards taken into the vault: only a server that serves has somebody to see them."""


class Begun(msgspec.Struct, frozen=True):
    """A sandbox that was given customers.

    Attributes:
        seed: From what they follow.
        begun_at: When, on the real clock.
        done_at: When the last of them was there; None as long as that isn't so.
    """

    seed: int
    begun_at: datetime
    done_at: datetime | None


async def find(tx: TenantTx) -> Begun | None:
    """Return from what the customers follow; None where there are none."""
    row = await tx.fetchrow("SELECT seed, begun_at, done_at FROM sandbox_seeds WHERE id = 1")
    return None if row is None else Begun(**row)


async def begin(tx: Tx, seed: int) -> int:
    """Write down from what the customers follow, unless that is known; return what stands there.

    Of several who begin at once the first decides, and the others make the same customers.
    """
    await tx.execute(
        "INSERT INTO sandbox_seeds (id, seed, begun_at) VALUES (1, $1, clock_timestamp()) ON CONFLICT DO NOTHING", seed
    )
    found: int = await tx.fetchval("SELECT seed FROM sandbox_seeds WHERE id = 1")
    return found


async def end(tx: TenantTx) -> None:
    """Write down that everybody has everything."""
    await tx.execute(
        "UPDATE sandbox_seeds SET done_at = $1 WHERE done_at IS NULL", await tx.fetchval("SELECT clock_timestamp()")
    )


async def order_cards(tx: TenantTx) -> None:
    """Have the customers' cards made."""
    now = await tenant_now(tx)
    await jobs.enqueue(tx, NewJob(id=ids.uuid7(), kind=CARDS_JOB, due_at=now, dedup_key=CARDS_JOB))
