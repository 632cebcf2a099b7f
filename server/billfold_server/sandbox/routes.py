"""The tenant's clock, and what happens outside of a sandbox, over HTTP."""

from typing import Any, Final
from uuid import UUID

from billfold import errors, ids
from billfold.contract.common import Page
from billfold.contract.platform import AdvanceClock, TenantClock
from billfold.contract.sandbox import (
    CreateDecline,
    CreateIncomingTransfer,
    CreateOutage,
    CreatePaymentReturn,
    CreateSlowAnswers,
    CreateVaultSeal,
    CreateWebhookDelay,
    CreateWebhookDuplicate,
    Dependency,
    MagicValue,
    MagicValues,
    ResetSandbox,
    SandboxReset,
    Simulation,
    SimulationId,
    SimulationKind,
)
from billfold.ids import Prefix
from billfold_server.connectors.service import magic_values, table_of_magic_values
from billfold_server.http import idempotency
from billfold_server.http.pagination import DEFAULT_LIMIT, Cursor, Limit
from billfold_server.http.routing import Call, Link, Reply, Routes
from billfold_server.sandbox import incoming, resetting, service
from billfold_server.sandbox.partner_routes import routes as partner_routes

__all__ = ["STAGE", "partner_routes", "routes", "sandbox_routes"]

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
    examples={"request": {"to": "2026-11-20T12:00:00Z"}},
)
async def advance_clock(call: Call, body: AdvanceClock) -> Reply[TenantClock]:
    """Move the test clock forward.

    On the way it stops at everything that falls due, which is done in order before the answer comes. Of what comes
    again and again, a way of more than a year has the last day's alone. If that takes too long for one request, the
    answer is 503; the clock goes on by itself, and the same request again under its ``Idempotency-Key`` waits for it.
    Without a key, ``by_s`` asked for again goes as far again.
    """
    answer = await idempotency.once(call, lambda tx: service.order_advance(tx, call.caller, body))
    await service.bring_clock(call.services.rooms[RUNNER], call.tenant)
    return answer


sandbox_routes = Routes(
    tag="Sandbox",
    description="What happens outside of the platform, as somebody has it happen in a sandbox for trying out.\n\n"
    "A payment that leaves is accepted and settled by the simulated rail at once, unless it asks for something else by "
    f"one of these values (amounts are in the currency's minor units):\n\n{table_of_magic_values()}",
)

STAGE: Final = "stage"
"""Under which name ``build_app`` keeps the ``Stage`` in ``Services.rooms``."""

_LIST: Final = "simulations"
_CREATED: Final = 201
_PATH: Final = "/v1/sandbox/simulations"
_SCOPE: Final = "sandbox:write"
_LOCATION: Final = _PATH + "/{id}"
_LED_TO: Final = tuple(
    Link(operation_id=name, parameters={"simulation_id": "$response.body#/id"})
    for name in ("getSimulation", "cancelSimulation")
)
_EVERYWHERE: Final = frozenset({Dependency.KEY_STORE.value, Dependency.DECRYPTOR.value})


@sandbox_routes.post(
    f"{_PATH}/incoming-transfers",
    scope=_SCOPE,
    idempotency="required",
    location=_LOCATION,
    errors=(errors.SandboxOnly, errors.RailUnavailable),
    links=_LED_TO,
)
async def simulate_incoming_transfer(call: Call, body: CreateIncomingTransfer) -> Reply[Simulation]:
    """Let money arrive from outside.

    The simulated rail has it, the platform fetches it there, and the wallet's top-up tells of it; as a rule all of that
    has happened when the answer comes. For an account that nobody has, or that can't take it, it is refused.
    """
    return await incoming.receive(call, body)


@sandbox_routes.post(
    f"{_PATH}/payment-returns",
    scope=_SCOPE,
    idempotency="required",
    location=_LOCATION,
    errors=(
        errors.SandboxOnly,
        errors.NotFound,
        errors.PaymentNotReturnable,
        errors.CurrencyMismatch,
        errors.ReturnExceedsPayment,
        errors.RailUnavailable,
    ),
    links=_LED_TO,
)
async def simulate_payment_return(call: Call, body: CreatePaymentReturn) -> Reply[Simulation]:
    """Let a settled payment come back, whole or in part.

    The payment stays settled, as it was, and tells how much of it is back; its money is a top-up of the payer's wallet,
    which names the payment. What a frozen or closed wallet can't take is owed to its holder on `payments_unclaimed`.
    """
    return await incoming.return_payment(call, body)


@sandbox_routes.post(
    f"{_PATH}/declines",
    scope=_SCOPE,
    idempotency="optional",
    location=_LOCATION,
    errors=(errors.SandboxOnly,),
    links=_LED_TO,
)
async def simulate_declines(call: Call, body: CreateDecline) -> Reply[Simulation]:
    """Have the rail reject the next payments."""
    return await _simulate(call, SimulationKind.DECLINE, body, "reason")


@sandbox_routes.post(
    f"{_PATH}/webhook-delays",
    scope=_SCOPE,
    idempotency="optional",
    location=_LOCATION,
    errors=(errors.SandboxOnly,),
    links=_LED_TO,
)
async def simulate_webhook_delay(call: Call, body: CreateWebhookDelay) -> Reply[Simulation]:
    """Let webhook deliveries of what happens next set out late, by the tenant's clock."""
    return await _simulate(call, SimulationKind.WEBHOOK_DELAY, body, "delay_s")


@sandbox_routes.post(
    f"{_PATH}/webhook-duplicates",
    scope=_SCOPE,
    idempotency="optional",
    location=_LOCATION,
    errors=(errors.SandboxOnly,),
    links=_LED_TO,
)
async def simulate_webhook_duplicates(call: Call, body: CreateWebhookDuplicate) -> Reply[Simulation]:
    """Let webhook deliveries of what happens next arrive more than once, the same ones however soon they set out."""
    return await _simulate(call, SimulationKind.WEBHOOK_DUPLICATE, body, "copies")


@sandbox_routes.post(
    f"{_PATH}/vault-seals",
    scope=_SCOPE,
    idempotency="optional",
    location=_LOCATION,
    errors=(errors.SandboxOnly, errors.KeysUnavailable),
    links=_LED_TO,
)
async def simulate_vault_seal(call: Call, body: CreateVaultSeal) -> Reply[Simulation]:
    """Seal the key service for this tenant.

    Every process forgets the tenant's keys within a second; what needs one is then refused with 503 until the seal is
    over or cancelled, after a quarter of an hour of real time at the latest.
    """
    return await _simulate(call, SimulationKind.VAULT_SEAL, body)


@sandbox_routes.post(
    f"{_PATH}/outages",
    scope=_SCOPE,
    idempotency="optional",
    location=_LOCATION,
    errors=(errors.SandboxOnly, errors.KeysUnavailable),
    links=_LED_TO,
)
async def simulate_outage(call: Call, body: CreateOutage) -> Reply[Simulation]:
    """Let something that the platform leans on be away for this tenant, for a quarter of an hour at the longest."""
    return await _simulate(call, SimulationKind.OUTAGE, body, "dependency")


@sandbox_routes.post(
    f"{_PATH}/slow-answers",
    scope=_SCOPE,
    idempotency="optional",
    location=_LOCATION,
    errors=(errors.SandboxOnly,),
    links=_LED_TO,
)
async def simulate_slow_answers(call: Call, body: CreateSlowAnswers) -> Reply[Simulation]:
    """Let the next answers come late, but for those about the sandbox itself."""
    return await _simulate(call, SimulationKind.SLOW_ANSWERS, body, "delay_ms")


@sandbox_routes.get(_PATH, scope="tenant:read")
async def list_simulations(
    call: Call, *, kind: SimulationKind | None = None, limit: Limit = DEFAULT_LIMIT, cursor: Cursor | None = None
) -> Page[Simulation]:
    """List simulations, those that have ended too, the newest first."""
    place = call.cursors.decode(_LIST, cursor)
    before = None if place is None else UUID(str(place[0]))
    async with call.tx() as tx:
        found = await service.list_simulations(tx, limit=limit + 1, before=before, kind=kind)
    return call.page(_LIST, found, limit, key=lambda each: [str(_id(each.id))])


@sandbox_routes.get(_PATH + "/{simulation_id}", scope="tenant:read", errors=(errors.NotFound,), links=_LED_TO[1:])
async def get_simulation(call: Call, simulation_id: SimulationId) -> Simulation:
    """Show a simulation, with what has come of it."""
    async with call.tx() as tx:
        return await service.get_simulation(tx, _id(simulation_id))


@sandbox_routes.delete(_PATH + "/{simulation_id}", scope=_SCOPE, errors=(errors.SandboxOnly, errors.NotFound))
async def cancel_simulation(call: Call, simulation_id: SimulationId) -> None:
    """End a simulation; one that has ended stays as it is."""
    service.require_sandbox(call.tenant)
    async with call.tx() as tx:
        await service.cancel(tx, call.caller, _id(simulation_id))
    _stage(call).look_again(call.tenant)


@sandbox_routes.delete(_PATH, scope=_SCOPE, errors=(errors.SandboxOnly,))
async def cancel_simulations(call: Call) -> None:
    """End every simulation that goes on."""
    service.require_sandbox(call.tenant)
    async with call.tx() as tx:
        await service.cancel_all(tx, call.caller)
    _stage(call).look_again(call.tenant)


@sandbox_routes.get("/v1/sandbox/magic-values", scope="tenant:read")
async def list_magic_values(call: Call) -> MagicValues:  # noqa: ARG001 - They are the same for everybody.
    """List the values by which a payment has the simulated rail behave in another way than usual."""
    rows = [
        MagicValue(
            word=each.word,
            amount_minor=each.amount_minor,
            account_ending=each.account_ending,
            behaviour=f"The rail {each.does}.",
        )
        for each in magic_values()
    ]
    return MagicValues(data=rows)


@sandbox_routes.post(
    "/v1/sandbox/reset", scope=_SCOPE, errors=(errors.SandboxOnly, errors.FeatureDisabled, errors.Busy)
)
async def reset_sandbox(call: Call, body: ResetSandbox) -> SandboxReset:
    """Bring the sandbox back to its beginning.

    Everything that has happened in it is gone: customers, wallets, the ledger, events, jobs, the clock's time. API
    clients, webhook endpoints, staff, the tenant's keys and the audit trail stay. Events go on with the next number.
    Its customers follow from `seed`: the same seed makes the same ones, anywhere and each time. It is refused in a
    process that has no administrator's database URL.
    """
    done = await resetting.reset(call.services, call.tenant, call.caller, body)
    _stage(call).look_again(call.tenant)
    return done


async def _simulate(call: Call, kind: SimulationKind, body: Any, *told: str) -> Reply[Simulation]:
    """Begin to simulate something that goes on."""
    service.require_sandbox(call.tenant)
    facts = {name: getattr(body, name) for name in told}
    answer = await idempotency.once(
        call,
        lambda tx: service.simulate(tx, call.caller, kind, facts, times=getattr(body, "times", None), for_s=body.for_s),
        status=_CREATED,
    )
    if kind is SimulationKind.VAULT_SEAL or facts.get("dependency") in _EVERYWHERE:
        # What is remembered of keys is what would be used without asking anybody.
        keys = call.services.keys
        await keys.store.tell(call.tenant.id)
        keys.evict(call.tenant.id, None)
    _stage(call).look_again(call.tenant)
    return answer


def _stage(call: Call) -> service.Stage:
    stage: service.Stage = call.services.rooms[STAGE]
    return stage


def _id(simulation_id: str) -> UUID:
    return ids.decode(Prefix.SIMULATION, simulation_id)
