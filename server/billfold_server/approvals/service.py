"""Keeps requests until a second person has decided, and then carries them out.

A request that needs approval is written down as it came, and refused with the approval's id. Once another person has
agreed, it runs through the same handler as if it came then, in the name of who has asked and under the same idempotency
key: so it happens once, however often processes die meanwhile, and who sends it again gets its answer.
"""

import asyncio
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
import structlog

from billfold import errors, ids
from billfold.contract import events
from billfold.contract.approvals import Approval, ApprovalStatus, RequestedOperation
from billfold.contract.events import ApprovalEventData, EventType
from billfold.ids import Prefix
from billfold_server.approvals import queries, rules, sealing
from billfold_server.approvals.queries import ApprovalRow
from billfold_server.approvals.rules import Decision
from billfold_server.audit import service as audit
from billfold_server.db.jobs import NewJob, enqueue
from billfold_server.db.outbox import emit, new_event
from billfold_server.http import idempotency
from billfold_server.http.routing import Call, IdempotencyRef, NeedsApproval, Reply, StoredRequest
from billfold_server.http.surfaces import refusal_on
from billfold_server.identity import service as identity
from billfold_server.keys.service import Keys
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller, TenantRef
from billfold_server.tenancy.manifest import ApprovalKind, RequiredKind
from billfold_server.tenancy.transaction import TenantTx

if TYPE_CHECKING:
    from billfold_server.http.pipeline import Pipeline
    from billfold_server.http.services import Services

__all__ = ["EXECUTE_JOB", "Approvals", "get_approval", "is_asked", "list_approvals", "show"]

EXECUTE_JOB: Final = "approval.execute"

_log = structlog.stdlib.get_logger("billfold.approvals")

_REFUSED_FROM: Final = 400
_RETRIED_FROM: Final = 500
_RATE_LIMITED: Final = 429
_HANDED_BACK: Final = 202
_DECIDED: Final = {
    ApprovalStatus.APPROVED: events.APPROVAL_APPROVED,
    ApprovalStatus.REJECTED: events.APPROVAL_REJECTED,
}
"""What an approval has for an outcome that only its maker is told."""


class Approvals:
    """What waits for a second person, at all tenants of a process.

    Args:
        services: With what requests are carried out.
    """

    def __init__(self, services: "Services") -> None:
        self._services = services
        self._pipelines: Mapping[str, Pipeline] = {}

    def bind(self, pipelines: Mapping[str, "Pipeline"]) -> None:
        """Say what carries out each operation, by its id."""
        self._pipelines = pipelines

    async def ask(self, call: Call, operation_id: str, path: Mapping[str, str], body: Mapping[str, Any]) -> Any:
        """Carry an operation out for a person who asks by a page; where a second one must agree, it waits for that.

        Args:
            call: The page's request, in the person's name.
            operation_id: What is asked for.
            path: The parameters in its address.
            body: What a request would send as JSON; nothing where it takes no body.

        Returns:
            What the operation's handler returns.

        Raises:
            errors.InsufficientScope: They may not do it.
            errors.ApprovalRequired: It waits from now on, or did already.
            ProblemError: What the operation refuses.
        """
        pipeline = self._pipelines[operation_id]
        # Written in one way, so that what is asked for again once it is approved is known as the same.
        sent = msgspec.json.encode(body, order="sorted") if pipeline.operation.takes_body else b""
        return await pipeline.ask(call, path, sent)

    async def admit(self, call: Call, rule: NeedsApproval, request: StoredRequest) -> Reply[Any] | None:
        """Return the answer of a request that was approved and carried out; every other one is refused.

        Args:
            call: The request, whose caller is known and may do it.
            rule: Why it needs a second person.
            request: What to carry out.

        Returns:
            The answer; None where it is to be carried out now, because its maker had to send it again, or where it was
            answered under its key when it needed nobody.

        Raises:
            errors.ApprovalRequired: It waits from now on, or did already.
            errors.ApprovalRefused: It was rejected, or its time has run out.
            errors.RequestInFlight: It is approved, and being carried out.
            errors.IdempotencyKeyReused: The key belongs to another request.
        """
        keys = self._services.keys
        fresh = await sealing.seal_request(keys, call.tenant, self._fresh(call, rule.kind, request))
        if rule.by_maker:
            await self._admit_maker(call, fresh)
            return None
        async with call.tx() as tx:
            fresh, now = await self._timed(call, tx, fresh)
            row = await self._asked_before(call, tx, fresh, now)
            if row is None and await _was_answered_alone(tx, call):
                return None
            if row is None:
                await queries.insert(tx, fresh)
                row = await queries.find_by_key(tx, fresh.client_id, fresh.idempotency_key)
                assert row is not None, "it was just written, or stood there"
                if row.id == fresh.id:
                    await _tell(tx, call.caller, events.APPROVAL_REQUESTED, row)
        if not hmac.compare_digest(row.fingerprint, fresh.fingerprint):
            raise errors.IdempotencyKeyReused("the key belongs to another request", param=idempotency.HEADER)
        (opened,) = await sealing.open_rows(keys, call.tenant, [row])
        return _known(opened, rules.status_at(row.state, row.expires_at, now))

    async def knows(self, call: Call) -> bool:
        """Tell whether something was asked for under a request's key that needs a second person.

        Then the request is that, or it is refused, though it would need nobody by itself; but for one that was carried
        out under the key when nobody looked, whose copy is answered as it was.
        """
        ref, tenant = call.idempotency, call.tenant_or_none
        if ref is None or tenant is None:
            return False
        needing = tenant.manifest.approvals
        if not (needing.refund_from_minor or needing.withdrawal_from_minor):
            # Whatever needs somebody needs them whatever it says.
            return False
        async with call.tx() as tx:
            return await is_asked(tx, ref.client_id, ref.key) and not await idempotency.is_answered(tx, ref)

    async def _asked_before(self, call: Call, tx: TenantTx, fresh: ApprovalRow, now: datetime) -> ApprovalRow | None:
        """Return what waits already where a person asks for the same again by a page, which has no keys."""
        if call.idempotency_key is not None or fresh.user_id is None:
            return None
        return await queries.lock_open(tx, fresh.client_id, fresh.user_id, fresh.fingerprint, now, late=True)

    async def _admit_maker(self, call: Call, fresh: ApprovalRow) -> None:
        """Use the approval of a request that its maker sends again; without one it waits.

        It is used up before it is carried out, so that it is carried out once at most.
        """
        async with call.tx() as tx:
            fresh, now = await self._timed(call, tx, fresh)
            row = await queries.lock_open(tx, fresh.client_id, fresh.user_id, fresh.fingerprint, now)
            if row is None:
                row = fresh
                await queries.insert(tx, fresh)
                await _tell(tx, call.caller, events.APPROVAL_REQUESTED, row)
            elif row.state == ApprovalStatus.APPROVED.value:
                await queries.execute(tx, row.id, at=now, status=_HANDED_BACK, body=b"")
                await _tell(tx, call.caller, events.APPROVAL_EXECUTED, row, outcome_status=_HANDED_BACK)
                return
        _known(row, ApprovalStatus.PENDING)

    async def _timed(self, call: Call, tx: TenantTx, fresh: ApprovalRow) -> tuple[ApprovalRow, datetime]:
        now = await tenant_now(tx)
        lasting = timedelta(hours=call.tenant.manifest.approvals.expire_after_hours)
        return msgspec.structs.replace(fresh, requested_at=now, expires_at=now + lasting), now

    def _fresh(self, call: Call, kind: ApprovalKind | RequiredKind, request: StoredRequest) -> ApprovalRow:
        approval_id = ids.uuid7()
        secret = self._services.idempotency_key
        now = self._services.clock.now()
        return ApprovalRow(
            id=approval_id,
            kind=kind,
            request=msgspec.json.encode(request),
            made_by=call.caller.actor,
            client_id=call.caller.client_id,
            user_id=call.caller.user_id,
            # A request without a key gets one for the time when it is carried out.
            idempotency_key=call.idempotency_key or f"approval:{ids.encode(Prefix.APPROVAL, approval_id)}",
            fingerprint=(
                call.idempotency.fingerprint
                if call.idempotency is not None
                else idempotency.fingerprint(secret, call.method, call.path, call.body)
            ),
            request_id=call.request_id,
            requested_at=now,
            expires_at=now,
            state=ApprovalStatus.PENDING.value,
        )

    async def decide(self, call: Call, approval_id: UUID, decision: Decision, reason: str | None) -> Reply[Any]:
        """Approve or reject, as a person other than who has asked; what is approved is carried out at once.

        Raises:
            errors.NotFound: There is no such approval.
            errors.PersonRequired: The caller is a program.
            errors.MakerMayNotDecide: The caller has asked for it, or may have what the program has that did.
            errors.ApprovalNotPending: It is decided, or its time has run out.
            errors.MakerLacksPermission: It would be approved, and who has asked may no longer do it.
        """

        async def write(tx: TenantTx) -> Approval:
            await self._decide(tx, call.caller, approval_id, decision, reason)
            row, now = await get_approval(tx, approval_id)
            # What is sealed isn't kept a second time; whoever asks again is shown it as it is then.
            return _shown(sealing.blank(row), now)

        reply = await idempotency.once(call, write)
        if (reply.status or 0) >= _REFUSED_FROM:
            # A copy of a decision that was refused.
            return reply
        # The request is carried out also if the approver doesn't wait for it; what isn't approved is left alone.
        await asyncio.shield(self._try(call.tenant, approval_id))
        async with call.tx() as tx:
            row, now = await get_approval(tx, approval_id)
        (shown,) = await show(self._services.keys, call.tenant, [row], now)
        return msgspec.structs.replace(reply, body=shown)

    async def _decide(
        self, tx: TenantTx, caller: Caller, approval_id: UUID, decision: Decision, reason: str | None
    ) -> None:
        row = _existing(await queries.lock(tx, approval_id))
        decider = rules.check_decider(caller.user_id, row.user_id)
        if row.user_id is None and await identity.could_be(tx, row.client_id, decider):
            raise errors.MakerMayNotDecide("whoever has made a program, or given it keys, can't decide on what it asks")
        now = await tenant_now(tx)
        status = rules.decided(rules.status_at(row.state, row.expires_at, now), decision)
        pipeline = self._pipelines.get(msgspec.json.decode(row.request, type=StoredRequest).operation_id)
        if pipeline is None:
            # A command knows how to carry out what it is about, and nothing else.
            raise errors.NotFound("what this approval is for isn't decided on here, but over the API")
        if status is ApprovalStatus.APPROVED and not await self._maker_stands(tx, row, pipeline):
            raise errors.MakerLacksPermission("who has asked for it may no longer do it")
        await queries.decide(
            tx, approval_id, status.value, decided_by=caller.actor, decider_id=decider, decided_at=now, reason=reason
        )
        await _tell(tx, caller, _DECIDED[status], row, reason=reason)
        if status is ApprovalStatus.APPROVED and not _is_by_maker(pipeline):
            # Should this process die before it has carried the request out, another one does.
            wire_id = ids.encode(Prefix.APPROVAL, approval_id)
            payload = msgspec.json.encode({"approval_id": wire_id})
            await enqueue(tx, NewJob(id=ids.uuid7(), kind=EXECUTE_JOB, due_at=now, payload=payload, dedup_key=wire_id))

    async def _maker_stands(self, tx: TenantTx, row: ApprovalRow, pipeline: "Pipeline") -> bool:
        """Tell whether who has asked may do at this moment what they have asked for.

        Whoever was disabled, or has lost a role or a scope since, would otherwise go on acting by others' hands.
        """
        scope = pipeline.operation.scope
        return scope is None or await identity.may_still(tx, row.client_id, row.user_id, scope)

    async def _try(self, tenant: TenantRef, approval_id: UUID) -> None:
        """Carry an approved request out, unless that fails for now; then the job does."""
        try:
            await self.execute(tenant, approval_id)
        except Exception:  # noqa: BLE001 - the decision stands, and the job tries again
            _log.warning("an approved request couldn't be carried out at once", exc_info=True)

    async def execute(self, tenant: TenantRef, approval_id: UUID) -> None:
        """Carry an approved request out, and write down what came of it.

        Raises:
            errors.Unavailable: It can't be carried out now; nothing is lost by trying again.
            errors.RequestInFlight: Somebody else carries it out just now.
        """
        async with self._services.database.tx(tenant) as tx:
            row = _existing(await queries.find(tx, approval_id))
        if row.state != ApprovalStatus.APPROVED.value:
            return
        request = msgspec.json.decode(row.request, type=StoredRequest)
        pipeline = self._pipelines[request.operation_id]
        if _is_by_maker(pipeline):
            return
        (opened,) = await sealing.open_rows(self._services.keys, tenant, [row])
        call = self._call(tenant, row, msgspec.json.decode(opened.request, type=StoredRequest), pipeline)
        async with self._services.database.tx(tenant) as tx:
            stands = await self._maker_stands(tx, row, pipeline)
            partner_id = await identity.partner_of(tx, row.client_id, row.user_id)
        call.caller = msgspec.structs.replace(call.caller, partner_id=partner_id)
        if stands:
            answer = await pipeline.again(call, request.path, request.query)
        else:
            # Between approval and now, whoever has asked was disabled or has lost what it takes.
            refusal = errors.PermissionDenied("who has asked for it may no longer do it")
            answer = refusal_on(pipeline.operation.surface, refusal, call.request_id)
        if answer.status >= _RETRIED_FROM or answer.status == _RATE_LIMITED:
            raise errors.Unavailable("an approved request can't be carried out now", retry_after_s=1)
        outcome = await sealing.seal_outcome(self._services.keys, tenant, row.id, answer.body)
        async with self._services.database.tx(tenant) as tx:
            now = await tenant_now(tx)
            if await queries.execute(tx, row.id, at=now, status=answer.status, body=outcome):
                await _tell(tx, call.caller, events.APPROVAL_EXECUTED, row, outcome_status=answer.status)

    def _call(self, tenant: TenantRef, row: ApprovalRow, request: StoredRequest, pipeline: "Pipeline") -> Call:
        """Return the request as it would come from who has asked for it."""
        services, operation = self._services, pipeline.operation
        scopes = frozenset({operation.scope}) if operation.scope is not None else frozenset()
        path = operation.path
        for name, value in request.path.items():
            path = path.replace(f"{{{name}}}", value)
        return Call(
            services=services,
            caller=Caller(
                actor=row.made_by,
                client_id=row.client_id,
                user_id=row.user_id,
                request_id=row.request_id,
                scopes=scopes,
            ),
            request_id=row.request_id or "",
            method=operation.method,
            path=path,
            headers={},
            base_url=services.identity.realm(tenant).issuer,
            body=request.body,
            idempotency_key=row.idempotency_key,
            idempotency=IdempotencyRef(client_id=row.client_id, key=row.idempotency_key, fingerprint=row.fingerprint),
            if_match=request.if_match,
            personal=operation.personal,
            tenant_or_none=tenant,
        )


def _is_by_maker(pipeline: "Pipeline") -> bool:
    rule = pipeline.operation.approval
    return rule is not None and rule.by_maker


def _known(row: ApprovalRow, status: ApprovalStatus) -> Reply[Any]:
    wire_id = ids.encode(Prefix.APPROVAL, row.id)
    match status:
        case ApprovalStatus.EXECUTED:
            return Reply(body=row.outcome, status=row.outcome_status, replayed=True)
        case ApprovalStatus.PENDING:
            raise errors.ApprovalRequired("another person must approve this first", approval_id=wire_id)
        case ApprovalStatus.APPROVED:
            raise errors.RequestInFlight("the request is approved, and being carried out")
    raise errors.ApprovalRefused(f"the request's approval is {status.value}", approval_id=wire_id, outcome=status.value)


async def _was_answered_alone(tx: TenantTx, call: Call) -> bool:
    """Tell whether a request was carried out before it needed a second person, so that a copy does nothing more."""
    ref = call.idempotency
    if ref is None or await is_asked(tx, ref.client_id, ref.key):
        return False
    return await idempotency.is_answered(tx, ref)


async def is_asked(tx: TenantTx, client_id: UUID, key: str) -> bool:
    """Tell whether something was asked for under a client's idempotency key, whatever has become of it."""
    return await queries.find_by_key(tx, client_id, key) is not None


async def get_approval(tx: TenantTx, approval_id: UUID) -> tuple[ApprovalRow, datetime]:
    """Return an approval as it lies, and the tenant's time; ``show`` opens it.

    Raises:
        errors.NotFound: The tenant has no such approval.
    """
    return _existing(await queries.find(tx, approval_id)), await tenant_now(tx)


async def list_approvals(
    tx: TenantTx, *, status: ApprovalStatus | None = None, before: UUID | None = None, limit: int = 100
) -> tuple[list[ApprovalRow], datetime]:
    """Return approvals as they lie, the newest first, and the tenant's time.

    Args:
        tx: The tenant's transaction.
        status: Only those that stand there.
        before: The approval after which to go on.
        limit: How many at most.
    """
    now = await tenant_now(tx)
    state = ApprovalStatus.PENDING if status is ApprovalStatus.EXPIRED else status
    rows = await queries.list_page(
        tx,
        before=before,
        state=None if state is None else state.value,
        open_at=now if status is ApprovalStatus.PENDING else None,
        over_at=now if status is ApprovalStatus.EXPIRED else None,
        limit=limit,
    )
    return rows, now


async def show(keys: Keys, tenant: TenantRef, rows: Sequence[ApprovalRow], now: datetime) -> list[Approval]:
    """Return approvals as the API shows them, outside of any transaction.

    Raises:
        errors.KeysUnavailable: What they hold can't be opened now.
    """
    return [_shown(row, now) for row in await sealing.open_rows(keys, tenant, rows)]


def _shown(row: ApprovalRow, now: datetime) -> Approval:
    request = msgspec.json.decode(row.request, type=StoredRequest)
    return Approval(
        id=ids.encode(Prefix.APPROVAL, row.id),
        kind=row.kind,
        status=rules.status_at(row.state, row.expires_at, now),
        requested=RequestedOperation(
            operation_id=request.operation_id,
            path=request.path,
            body=msgspec.json.decode(request.body) if request.body else None,
        ),
        requested_by=row.made_by,
        requested_at=row.requested_at,
        expires_at=row.expires_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        reason=row.reason,
        executed_at=row.executed_at,
        outcome_status=row.outcome_status,
        outcome=msgspec.json.decode(row.outcome) if row.outcome else None,
    )


def _existing(row: ApprovalRow | None) -> ApprovalRow:
    if row is None:
        raise errors.NotFound("there is no such approval", param="approval_id")
    return row


async def _tell(
    tx: TenantTx,
    caller: Caller,
    happened: EventType[ApprovalEventData],
    row: ApprovalRow,
    *,
    reason: str | None = None,
    **facts: int,
) -> None:
    """Emit the event and record the audit of a step. Neither repeats what the request says."""
    wire_id = ids.encode(Prefix.APPROVAL, row.id)
    data = ApprovalEventData(id=wire_id, kind=row.kind, **facts)
    await emit(tx, new_event(happened, wire_id, data, await tenant_now(tx)))
    await audit.record(
        tx, audit.new_record(caller, happened.name, wire_id, reason=reason, facts={"kind": row.kind, **facts})
    )
