"""The SQL of simulations."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from billfold.contract.sandbox import SimulationKind
from billfold_server.db.filters import Filter
from billfold_server.db.personal import counted
from billfold_server.sandbox.rows import SIMULATION, SimulationRow, to_simulation
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "add",
    "end",
    "end_all",
    "find",
    "find_used",
    "list_page",
    "list_under_way",
    "lock_many",
    "lock_next",
    "returning_minor",
    "settle",
    "use",
    "use_many",
]

# S608 below: the texts are made of this module's constants and numbered parameters only.

_GOES_ON: Final = (
    "state = 'active' AND (until IS NULL OR until > $2) AND (at_last IS NULL OR at_last > clock_timestamp())"
)


async def add(tx: TenantTx, row: SimulationRow) -> None:
    """Write a new simulation."""
    await tx.execute(
        """
        INSERT INTO simulations (id, kind, facts, state, times, used, until, at_last, created_at, ended_at)
        VALUES ($1, $2, $3::text::json, $4, $5, $6, $7, $8, $9, $10)
        """,
        row.id,
        row.kind.value,
        msgspec.json.encode(row.facts).decode(),
        row.state.value,
        row.times,
        row.used,
        row.until,
        row.at_last,
        row.created_at,
        row.ended_at,
    )


async def find(tx: TenantTx, simulation_id: UUID) -> SimulationRow | None:
    """Return a simulation, or None."""
    row = await tx.fetchrow(f"SELECT {SIMULATION} FROM simulations WHERE id = $1", simulation_id)  # noqa: S608
    return None if row is None else to_simulation(row)


async def returning_minor(tx: TenantTx, payment_id: str) -> int:
    """Return how much of a payment's money is about to come back, by what was simulated and isn't fetched yet."""
    found: int = await tx.fetchval(
        """
        SELECT coalesce(sum((facts->'amount'->>'amount_minor')::bigint), 0)::bigint FROM simulations
        WHERE kind = 'payment_return' AND facts->>'payment_id' = $1 AND state = 'active'
        """,
        payment_id,
    )
    return found


async def list_page(
    tx: TenantTx, *, limit: int, before: UUID | None = None, kind: str | None = None
) -> list[SimulationRow]:
    """Return simulations, the newest first."""
    where = Filter()
    where.add("id < $", before)
    where.add("kind = $", kind)
    sql = f"SELECT {SIMULATION} FROM simulations WHERE {where} ORDER BY id DESC LIMIT {limit:d}"  # noqa: S608
    return [to_simulation(row) for row in await tx.fetch(sql, *where.values)]


_UNDER_WAY: Final = f"SELECT {SIMULATION} FROM simulations WHERE kind = $1 AND {_GOES_ON} ORDER BY id"  # noqa: S608


async def list_under_way(tx: TenantTx, kind: SimulationKind, now: datetime) -> list[SimulationRow]:
    """Return what goes on of a kind, the oldest first."""
    return [to_simulation(row) for row in await tx.fetch(_UNDER_WAY, kind.value, now)]


async def lock_next(tx: TenantTx, kind: SimulationKind, now: datetime) -> SimulationRow | None:
    """Return the oldest that goes on of a kind, and keep others from using it up; None where there is none."""
    row = await tx.fetchrow(f"{_UNDER_WAY} LIMIT 1 FOR UPDATE", kind.value, now)
    return None if row is None else to_simulation(row)


async def lock_many(tx: TenantTx, kind: SimulationKind, now: datetime, most: int) -> list[SimulationRow]:
    """Return what goes on of a kind, the oldest first and so many at most, and keep others from using it up."""
    rows = await tx.fetch(f"{_UNDER_WAY} LIMIT {most:d} FOR UPDATE", kind.value, now)
    return [to_simulation(row) for row in rows]


async def find_used(tx: TenantTx, kind: SimulationKind, subject: str) -> SimulationRow | None:
    """Return what something was already dealt with by, or None."""
    row = await tx.fetchrow(
        f"""
        SELECT {SIMULATION} FROM simulations
        WHERE id IN (SELECT simulation_id FROM simulation_uses WHERE subject = $1) AND kind = $2 LIMIT 1
        """,  # noqa: S608
        subject,
        kind.value,
    )
    return None if row is None else to_simulation(row)


async def use(tx: TenantTx, simulation_id: UUID, subject: str | None, now: datetime) -> None:
    """Count a use, and end what is used up by it."""
    await tx.execute(
        """
        UPDATE simulations SET used = used + 1,
            state = CASE WHEN used + 1 >= times THEN 'used_up' ELSE state END,
            ended_at = CASE WHEN used + 1 >= times THEN $2::timestamptz END
        WHERE id = $1
        """,
        simulation_id,
        now,
    )
    if subject is not None:
        await tx.execute("INSERT INTO simulation_uses (simulation_id, subject) VALUES ($1, $2)", simulation_id, subject)


async def use_many(tx: TenantTx, shares: Sequence[tuple[UUID, int]], now: datetime) -> None:
    """Count how often each was used, and end what is used up by it."""
    await tx.execute(
        """
        UPDATE simulations AS s SET used = s.used + n.share,
            state = CASE WHEN s.used + n.share >= s.times THEN 'used_up' ELSE s.state END,
            ended_at = CASE WHEN s.used + n.share >= s.times THEN $3::timestamptz END
        FROM unnest($1::uuid[], $2::int[]) AS n (id, share)
        WHERE s.id = n.id AND n.share > 0
        """,
        [simulation_id for simulation_id, _ in shares],
        [share for _, share in shares],
        now,
    )


async def settle(tx: TenantTx, row: SimulationRow) -> bool:
    """Write down what has come of a simulation that goes on; tell whether it did."""
    done = await tx.execute(
        """
        UPDATE simulations SET facts = $2::text::json, state = $3, used = $4, ended_at = $5
        WHERE id = $1 AND state = 'active'
        """,
        row.id,
        msgspec.json.encode(row.facts).decode(),
        row.state.value,
        row.used,
        row.ended_at,
    )
    return counted(done) > 0


async def end(tx: TenantTx, simulation_id: UUID, now: datetime) -> SimulationRow | None:
    """Cancel a simulation that goes on, and return it as it was; None where it had ended."""
    row = await tx.fetchrow(
        f"SELECT {SIMULATION} FROM simulations WHERE id = $1 AND state = 'active' FOR UPDATE",  # noqa: S608
        simulation_id,
    )
    if row is None:
        return None
    await tx.execute("UPDATE simulations SET state = 'cancelled', ended_at = $2 WHERE id = $1", simulation_id, now)
    return to_simulation(row)


async def end_all(tx: TenantTx, now: datetime) -> list[SimulationRow]:
    """Cancel every simulation that goes on, and return them."""
    rows = await tx.fetch(
        f"UPDATE simulations SET state = 'cancelled', ended_at = $1 WHERE state = 'active' RETURNING {SIMULATION}",  # noqa: S608
        now,
    )
    return [to_simulation(row) for row in rows]
