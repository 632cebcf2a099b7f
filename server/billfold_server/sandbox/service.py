"""Shows a tenant's clock and moves a test clock."""

from typing import Final

from billfold import errors
from billfold.contract.platform import AdvanceClock, TenantClock
from billfold_server.audit import service as audit
from billfold_server.db.runner import JobRunner
from billfold_server.tenancy import clock
from billfold_server.tenancy.context import Caller, TenantRef
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["bring_clock", "get_clock", "order_advance"]

_ADVANCED: Final = "clock.advanced"
TIMEOUT_S: Final = 25.0
"""How long a request waits for the clock to arrive; the way there goes on without it."""


async def get_clock(tx: TenantTx) -> TenantClock:
    """Return the tenant's clock."""
    state = await clock.read_clock(tx)
    return TenantClock(now=state.now, controllable=clock.is_controllable(tx.tenant), frozen=state.frozen)


async def order_advance(tx: TenantTx, caller: Caller, body: AdvanceClock) -> TenantClock:
    """Write down where the test clock is to be moved, and return it as it will be there.

    Raises:
        errors.ClockNotControllable: The tenant has no test clock.
        errors.ClockMovesForward: The clock is past that instant.
    """
    arrived = await clock.request_advance(tx, body.to, freeze=body.freeze)
    facts = {"to": arrived.now, "freeze": body.freeze}
    await audit.record(tx, audit.new_record(caller, _ADVANCED, "clock", facts=facts))
    return arrived


async def bring_clock(runner: JobRunner, tenant: TenantRef) -> None:
    """Bring the clock to where it was sent, doing on the way what falls due.

    Raises:
        errors.Unavailable: There was too much to do for one request. The clock goes on; asking again waits on.
    """
    if not await runner.drive(tenant, timeout_s=TIMEOUT_S):
        raise errors.Unavailable("the clock is still on its way; ask again with the same key", retry_after_s=1)
