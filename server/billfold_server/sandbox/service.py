"""Shows a tenant's clock and moves a test clock, and has things happen that happen outside.

That something is simulated is audited, and is no event: what comes of it is one, as it would be for real. An event of
the simulation itself would be sent to the endpoints whose next delivery it makes late, and use it up.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract.platform import AdvanceClock, TenantClock
from billfold.contract.sandbox import Simulation, SimulationKind, SimulationState
from billfold_server.audit import service as audit
from billfold_server.db.runner import JobRunner
from billfold_server.http.reading import validation_failed
from billfold_server.sandbox import queries
from billfold_server.sandbox.owned import address, list_sandboxes, offered
from billfold_server.sandbox.owned import get as get_sandbox
from billfold_server.sandbox.rows import SimulationRow
from billfold_server.sandbox.staging import Stage, take, take_for_each
from billfold_server.tenancy import clock
from billfold_server.tenancy.context import Caller, TenantRef
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "Stage",
    "address",
    "bring_clock",
    "cancel",
    "cancel_all",
    "get_clock",
    "get_sandbox",
    "get_simulation",
    "list_sandboxes",
    "list_simulations",
    "offered",
    "order_advance",
    "require_sandbox",
    "settle",
    "shown",
    "simulate",
    "take",
    "take_for_each",
]

_ADVANCED: Final = "clock.advanced"
_CLOCK_ENDS: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""Long after what anybody tries out, and long before the end of the calendar, up to which nothing could be planned."""

TIMEOUT_S: Final = 25.0
"""How long a request waits for the clock to arrive; the way there goes on without it."""

_LONGEST_REAL: Final = timedelta(minutes=15)
_BOUNDED: Final = frozenset({SimulationKind.VAULT_SEAL, SimulationKind.OUTAGE})
"""What may keep everybody out, so that nobody could end it, and is over by itself though the tenant's clock stands."""


async def get_clock(tx: TenantTx) -> TenantClock:
    """Return the tenant's clock."""
    state = await clock.read_clock(tx)
    return TenantClock(now=state.now, controllable=clock.is_controllable(tx.tenant), frozen=state.frozen)


async def order_advance(tx: TenantTx, caller: Caller, body: AdvanceClock) -> TenantClock:
    """Write down where the test clock is to be moved, and return it as it will be there.

    Raises:
        errors.ValidationFailed: No test clock is moved that far.
        errors.ClockNotControllable: The tenant has no test clock.
        errors.ClockMovesForward: The clock is past that instant.
    """
    where = body.to if body.by_s is None else timedelta(seconds=body.by_s)
    assert where is not None, "the contract has one of both named"
    arrived = await clock.request_advance(tx, where, freeze=body.freeze)
    if arrived.now >= _CLOCK_ENDS:
        name, must = ("to", "be") if body.by_s is None else ("by_s", "lead to an instant")
        raise validation_failed(name, f"must {must} before {_CLOCK_ENDS:%Y-%m-%dT%H:%M:%SZ}")
    facts = {"to": arrived.now, "freeze": body.freeze}
    await audit.record(tx, audit.new_record(caller, _ADVANCED, "clock", facts=facts))
    return arrived


async def bring_clock(runner: JobRunner, tenant: TenantRef) -> None:
    """Bring the clock to where it was sent, doing on the way what falls due.

    Raises:
        errors.Unavailable: There was too much to do for one request. The clock goes on; asking again waits on.
    """
    if not await runner.drive(tenant, timeout_s=TIMEOUT_S):
        raise errors.Unavailable(
            "the clock is still on its way and goes on by itself; ask again with the same Idempotency-Key to wait for "
            "it, or look at GET /v1/clock",
            retry_after_s=1,
        )


def require_sandbox(tenant: TenantRef) -> None:
    """See that nothing is simulated, and nothing reset, where money is real.

    Raises:
        errors.SandboxOnly: The tenant is no sandbox.
    """
    if not tenant.manifest.sandbox:
        raise errors.SandboxOnly("only a sandbox can be reset, or have things simulated")


async def simulate(
    tx: TenantTx,
    caller: Caller,
    kind: SimulationKind,
    facts: dict[str, Any],
    *,
    times: int | None = None,
    for_s: int | None = None,
    used: bool = False,
) -> Simulation:
    """Begin to simulate something, until it was used so often or so much of the tenant's time has passed.

    Args:
        tx: The tenant's transaction.
        caller: Who wants it.
        kind: What.
        facts: What the contract's ``Simulation`` tells of the kind.
        times: How often.
        for_s: For how long.
        used: Whether it has been done by now.
    """
    state = await clock.read_clock(tx)
    real_now = await tx.fetchval("SELECT clock_timestamp()")
    row = SimulationRow(
        id=ids.uuid7(),
        kind=kind,
        facts=facts,
        state=SimulationState.USED_UP if used else SimulationState.ACTIVE,
        times=times,
        used=int(used),
        until=None if for_s is None else state.now + timedelta(seconds=for_s),
        at_last=real_now + _LONGEST_REAL if kind in _BOUNDED else None,
        created_at=state.now,
        ended_at=state.now if used else None,
    )
    await queries.add(tx, row)
    told = {name: value for name, value in facts.items() if isinstance(value, str | int)} | {"kind": kind.value}
    await audit.record(tx, audit.new_record(caller, "simulation.created", row.wire_id, facts=told))
    return row.to_response(state.now, real_now)


async def settle(tx: TenantTx, simulation_id: UUID, facts: dict[str, Any]) -> None:
    """Write down that what was to happen once has happened, and what has come of it."""
    row = await queries.find(tx, simulation_id)
    if row is None:
        return
    done = msgspec.structs.replace(
        row,
        facts={**row.facts, **facts},
        state=SimulationState.USED_UP,
        used=row.used + 1,
        ended_at=await clock.tenant_now(tx),
    )
    await queries.settle(tx, done)


async def get_simulation(tx: TenantTx, simulation_id: UUID) -> Simulation:
    """Return a simulation.

    Raises:
        errors.NotFound: There is none.
    """
    row = await queries.find(tx, simulation_id)
    if row is None:
        raise errors.NotFound("there is no such simulation", param="simulation_id")
    return (await shown(tx, [row]))[0]


async def list_simulations(
    tx: TenantTx, *, limit: int, before: UUID | None = None, kind: SimulationKind | None = None
) -> list[Simulation]:
    """Return simulations, the newest first."""
    rows = await queries.list_page(tx, limit=limit, before=before, kind=None if kind is None else kind.value)
    return await shown(tx, rows)


async def shown(tx: TenantTx, rows: Sequence[SimulationRow]) -> list[Simulation]:
    """Return simulations as the API shows them now."""
    now, real_now = await clock.tenant_now(tx), await tx.fetchval("SELECT clock_timestamp()")
    return [row.to_response(now, real_now) for row in rows]


async def cancel(tx: TenantTx, caller: Caller, simulation_id: UUID) -> SimulationRow | None:
    """End a simulation, and return it as it was; None where it had ended by itself.

    Raises:
        errors.NotFound: There is none.
    """
    if await queries.find(tx, simulation_id) is None:
        raise errors.NotFound("there is no such simulation", param="simulation_id")
    row = await queries.end(tx, simulation_id, await clock.tenant_now(tx))
    if row is not None:
        await audit.record(tx, audit.new_record(caller, "simulation.cancelled", row.wire_id))
    return row


async def cancel_all(tx: TenantTx, caller: Caller) -> list[SimulationRow]:
    """End every simulation that goes on, and return them."""
    rows = await queries.end_all(tx, await clock.tenant_now(tx))
    await audit.record(tx, *(audit.new_record(caller, "simulation.cancelled", row.wire_id) for row in rows))
    return rows
