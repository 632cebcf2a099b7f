"""The tenant's clock over HTTP."""

from billfold import errors
from billfold.contract.platform import AdvanceClock, TenantClock
from billfold_server.http import idempotency
from billfold_server.http.routing import Call, Reply, Routes
from billfold_server.sandbox import service

__all__ = ["routes"]

routes = Routes(tag="Clock", description="The tenant's time, and how to move it in a sandbox.")

RUNNER = "jobs"
"""Under which name ``build_app`` keeps the job runner in ``Services.rooms``."""


@routes.get("/v1/clock", scope="tenant:read")
async def get_clock(call: Call) -> TenantClock:
    """Show the tenant's clock."""
    async with call.tx() as tx:
        return await service.get_clock(tx)


@routes.post(
    "/v1/clock/advance",
    scope="clock:write",
    idempotency="optional",
    errors=(errors.ClockNotControllable, errors.ClockMovesForward, errors.Unavailable),
)
async def advance_clock(call: Call, body: AdvanceClock) -> Reply[TenantClock]:
    """Move the test clock forward.

    On the way it stops at everything that falls due, which is done in order before the answer comes. Of what comes
    again and again, a way of more than a year has the last day's alone. If that takes too long for one request, the
    answer is 503; the clock goes on by itself, and the same request again waits for it.
    """
    answer = await idempotency.once(call, lambda tx: service.order_advance(tx, call.caller, body))
    await service.bring_clock(call.services.rooms[RUNNER], call.tenant)
    return answer
