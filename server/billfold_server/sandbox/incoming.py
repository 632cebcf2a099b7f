"""Money that comes in from outside: the simulated rail is told to have some, and the platform goes to fetch it.

From there on it is as it is with any rail. What can't be fetched at once, a job fetches later.
"""

import hashlib
from typing import Final

import msgspec

from billfold import errors, ids
from billfold.contract.payments import PaymentStatus
from billfold.contract.sandbox import (
    CreateIncomingTransfer,
    CreatePaymentReturn,
    IncomingOutcome,
    Simulation,
    SimulationKind,
    SimulationState,
)
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.connectors.service import Account, Credit, RailSilent, SimulatedRail
from billfold_server.db.jobs import NewJob, enqueue
from billfold_server.http import idempotency
from billfold_server.http.routing import Call, Reply
from billfold_server.http.services import Services
from billfold_server.ledger import service as ledger
from billfold_server.payments import service as payments
from billfold_server.sandbox import queries, service
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["FETCH_JOB", "Fetch", "fetch", "fetch_later", "receive", "return_payment", "withdraw"]

FETCH_JOB: Final = "sandbox.fetch"
_CREATED: Final = 201
_SENDER: Final = "GB33BUKB20201555555555"


class Fetch(msgspec.Struct, frozen=True):
    """The payload of the job.

    Attributes:
        simulation_id: Which simulation.
        credit: The rail's name for its money.
    """

    simulation_id: str
    credit: str


async def receive(call: Call, body: CreateIncomingTransfer) -> Reply[Simulation]:
    """Let money arrive from an account outside.

    Raises:
        errors.SandboxOnly: The tenant is no sandbox.
        errors.RailUnavailable: The simulated rail isn't there.
    """
    credit = Credit(
        key=f"in_{_digest(call)}",
        amount=body.amount,
        debtor=Account(scheme="iban", identification=_SENDER, name=body.debtor_name),
        creditor=Account(scheme=body.scheme.value, identification=body.identification),
        end_to_end_id=call.request_id if call.idempotency_key is None else call.idempotency_key[:35],
        reference=body.reference,
    )
    return await _announce(call, SimulationKind.INCOMING_TRANSFER, credit, {})


async def return_payment(call: Call, body: CreatePaymentReturn) -> Reply[Simulation]:
    """Let the money of a settled payment come back, whole or in part.

    Raises:
        errors.SandboxOnly: The tenant is no sandbox.
        errors.NotFound: There is no such payment.
        errors.PaymentNotReturnable: Its money hasn't left, or has come back.
        errors.CurrencyMismatch: It was paid in another currency.
        errors.ReturnExceedsPayment: Less of it is still outside.
        errors.RailUnavailable: The simulated rail isn't there.
    """
    service.require_sandbox(call.tenant)
    async with call.tx() as tx:
        row = await payments.get_payment(tx, ids.decode(Prefix.PAYMENT, body.payment_id))
        returning_minor = await queries.returning_minor(tx, row.wire_id)
        account_id = await _account_of(tx, row)
    left_minor = row.amount_minor - row.returned_minor - returning_minor
    amount = Money(left_minor, row.currency) if body.amount is None else body.amount
    refusal: errors.ProblemError | None = None
    if row.rail is None or row.status not in {PaymentStatus.SETTLED, PaymentStatus.CREDITED} or left_minor <= 0:
        refusal = errors.PaymentNotReturnable()
    elif amount.currency != row.currency:
        refusal = errors.CurrencyMismatch(param="amount", account_id=account_id, currency=row.currency)
    elif amount.amount_minor > left_minor:
        refusal = errors.ReturnExceedsPayment(param="amount", payment_id=row.wire_id, remaining_minor=left_minor)
    if refusal is not None:
        return await _refuse(call, refusal)
    credit = Credit(
        key=f"return_{_digest(call)}",
        amount=amount,
        debtor=Account(scheme="iban", identification=_SENDER, name="Sandbox Bank"),
        creditor=Account(scheme="wallet", identification=ids.encode(Prefix.WALLET, row.wallet_id)),
        end_to_end_id=row.wire_id,
        reference="Payment return",
        returns=row.wire_id,
        reason=body.reason,
    )
    told: dict[str, object] = {"payment_id": row.wire_id, "reason": body.reason}
    return await _announce(call, SimulationKind.PAYMENT_RETURN, credit, told)


async def _account_of(tx: TenantTx, row: payments.PaymentRow) -> str:
    """Return the account out of which a payment was made."""
    accounts = (await ledger.list_wallet_accounts(tx, [row.wallet_id]))[row.wallet_id]
    return next(account.wire_id for account in accounts if account.currency == row.currency)


async def _refuse(call: Call, refusal: errors.ProblemError) -> Reply[Simulation]:
    async def refuse(_: TenantTx) -> Simulation:
        raise refusal

    return await idempotency.once(call, refuse, status=_CREATED)


def _digest(call: Call) -> str:
    """Name money after the request, so that a copy of it brings none."""
    ref = call.idempotency
    assert ref is not None, "the operation asks for a key"
    return hashlib.sha256(f"{ref.client_id}/{ref.key}".encode()).hexdigest()[:32]


async def _announce(call: Call, kind: SimulationKind, credit: Credit, told: dict[str, object]) -> Reply[Simulation]:
    service.require_sandbox(call.tenant)
    rail = _rail(call.services, call.tenant)
    try:
        is_there = await rail.announce(credit)
    except RailSilent as error:
        raise errors.RailUnavailable(retry_after_s=1) from error
    amount = {"amount_minor": credit.amount.amount_minor, "currency": credit.amount.currency}
    facts = {"amount": amount, **told}
    # Other money under this key is another request's, as the key's own row says in a moment.
    outcome = await fetch(call.services, call.tenant, credit.key) if is_there else None

    async def note(tx: TenantTx) -> Simulation:
        made = await service.simulate(
            tx, call.caller, kind, {**facts, **(outcome or {})}, times=1, used=outcome is not None
        )
        if outcome is None:
            job = Fetch(made.id, credit.key)
            now = await tenant_now(tx)
            payload = msgspec.json.encode(job)
            await enqueue(tx, NewJob(id=ids.uuid7(), kind=FETCH_JOB, due_at=now, payload=payload, dedup_key=made.id))
        return made

    return await idempotency.once(call, note, status=_CREATED)


def _rail(services: Services, tenant: TenantRef) -> SimulatedRail:
    rail = payments.rail_of(services, tenant)
    if not isinstance(rail, SimulatedRail):
        raise errors.RailUnavailable(retry_after_s=60)
    return rail


async def fetch(services: Services, tenant: TenantRef, key: str) -> dict[str, object] | None:
    """Fetch money that the rail has for a tenant, and return what has become of it; None where the rail is silent."""
    rail = _rail(services, tenant)
    try:
        collected = await payments.collect(services, tenant, rail, rail.name, key)
    except RailSilent:
        return None
    return _outcome(collected)


def _outcome(collected: payments.Collected) -> dict[str, object]:
    if collected.refused is not None:
        return {"outcome": IncomingOutcome.REFUSED.value, "refused_because": collected.refused}
    if collected.unclaimed:
        return {"outcome": IncomingOutcome.UNCLAIMED.value}
    return {"outcome": IncomingOutcome.CREDITED.value, "top_up_id": collected.top_up_id}


async def fetch_later(services: Services, tenant: TenantRef, payload: Fetch) -> None:
    """Fetch money that the rail was silent about before, if it is still to come in.

    Raises:
        errors.RailUnavailable: The rail is silent.
    """
    simulation_id = ids.decode(Prefix.SIMULATION, payload.simulation_id)
    async with services.database.tx(tenant) as tx:
        found = await service.get_simulation(tx, simulation_id)
    if found.state is not SimulationState.ACTIVE:
        await withdraw(services, tenant, payload.credit)
        return
    outcome = await fetch(services, tenant, payload.credit)
    if outcome is None:
        raise errors.RailUnavailable(retry_after_s=1)
    async with services.database.tx(tenant) as tx:
        await service.settle(tx, simulation_id, outcome)


async def withdraw(services: Services, tenant: TenantRef, key: str) -> None:
    """Let money never come in that was announced, and isn't fetched yet.

    Raises:
        errors.RailUnavailable: The rail is silent.
    """
    try:
        await _rail(services, tenant).withdraw(key)
    except RailSilent as error:
        raise errors.RailUnavailable(retry_after_s=1) from error
