"""Counts what callers ask for, exactly however many ask at once, and raises the alarm.

The counts lie in the database, so all processes share them. Whoever adds to one holds it until the transaction has
ended, so no two callers can both have the last that is left.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

import msgspec

from billfold.contract.events import VAULT_TOKEN_ALARM, VaultTokenAlarmEventData
from billfold_server.audit import service as audit
from billfold_server.audit.service import NewAuditRecord
from billfold_server.db.outbox import NewEvent, new_event
from billfold_server.db.sets import Write, end_with
from billfold_server.http.routing import Call
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.tokens import queries, rules, telling

__all__ = ["Counted", "Limits", "count", "count_at_end"]

_SPANS: Final = ("hour", "day")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much one caller may ask for, and from where on somebody is told."""

    per_hour: int | None = None
    per_day: int | None = None
    alarm_per_hour: int | None = None

    def most(self, span: str) -> int | None:
        """Return how much is allowed in an hour, or in a day."""
        return self.per_hour if span == "hour" else self.per_day

    @property
    def spans(self) -> tuple[str, ...]:
        """In which windows something is counted."""
        hourly = self.per_hour is not None or self.alarm_per_hour is not None
        return tuple(span for span in _SPANS if (hourly if span == "hour" else self.per_day is not None))


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """What came of counting; true where it was too much.

    Attributes:
        per: Which window is used up, where one is.
        limit: What its limit is.
        retry_after_s: When it ends.
        records: What is to be recorded, if there was an alarm.
        events: What is to be told, if there was an alarm.
        windows: In which was counted.
    """

    per: str | None = None
    limit: int = 0
    retry_after_s: int = 0
    records: tuple[NewAuditRecord, ...] = ()
    events: tuple[NewEvent, ...] = ()
    windows: dict[str, datetime] = {}

    def __bool__(self) -> bool:
        return self.per is not None


async def count(call: Call, tx: TenantTx, purpose: str, number: int, limits: Limits) -> Counted:
    """Count what is asked for, unless it is too much. What is to be told has to be written in the same transaction.

    Args:
        call: The request.
        tx: The tenant's transaction.
        purpose: What for.
        number: How many.
        limits: How many are allowed.
    """
    windows = _windows(call, limits)
    if not windows:
        return Counted()
    caller = telling.caller_id(call.caller)
    sums = await queries.count(tx, caller, purpose, number, windows)
    over = next((span for span, used in sums.items() if used > (limits.most(span) or used)), None)
    if over is None:
        threshold = limits.alarm_per_hour
        if threshold is None or not sums["hour"] - number < threshold <= sums["hour"]:
            return Counted(windows=windows)
        alarm = await _alarmed(call, tx, purpose=purpose, why="threshold", per="hour", limit=threshold)
        return msgspec.structs.replace(alarm, windows=windows)
    refused = await queries.uncount(tx, caller, purpose, number, windows, refused=True)
    limit = limits.most(over) or 0
    counted = (
        Counted()
        if refused[over] > 1
        else await _alarmed(call, tx, purpose=purpose, why="limit", per=over, limit=limit)
    )
    return msgspec.structs.replace(
        counted, per=over, limit=limit, retry_after_s=rules.window(over, call.services.clock.now())[1]
    )


def count_at_end(
    call: Call, tx: TenantTx, purpose: str, number: int, limits: Limits, *, writes: Sequence[Write]
) -> Counted:
    """Count what is asked for, and write of it, in one text with COMMIT: nobody who counts waits for a round trip.

    That is for the usual case, in which nobody is refused and no alarm raised. In any other the transaction fails for a
    division by zero, with nothing written, and has to be begun again by ``count``.

    Args:
        call: The request.
        tx: The tenant's transaction, which ends after this.
        purpose: What for.
        number: How many.
        limits: How many are allowed.
        writes: What else is written.
    """
    windows = _windows(call, limits)
    if not windows:
        end_with(tx, writes)
        return Counted()
    counts = queries.counts(telling.caller_id(call.caller), purpose, number, windows)
    guard = queries.unremarkable(
        per_hour=limits.per_hour, per_day=limits.per_day, number=number, alarm_per_hour=limits.alarm_per_hour
    )
    end_with(tx, [counts, *writes], guard)
    return Counted(windows=windows)


def _windows(call: Call, limits: Limits) -> dict[str, datetime]:
    now = call.services.clock.now()
    return {span: rules.window(span, now)[0] for span in limits.spans}


async def _alarmed(
    call: Call, tx: TenantTx, *, purpose: str, why: Literal["threshold", "limit"], per: str, limit: int
) -> Counted:
    """Return the alarm, which is raised once in each window."""
    call.services.metrics.vault_tokens("alarm", why, 1)
    caller = telling.caller_id(call.caller)
    facts: dict[str, str | int | None] = {"purpose": purpose, "why": why, "per": per, "limit": limit}
    record = audit.new_record(call.caller, VAULT_TOKEN_ALARM.name, caller, facts=facts)
    data = VaultTokenAlarmEventData(caller=caller, purpose=purpose, why=why, per=per, limit=limit)
    event = new_event(VAULT_TOKEN_ALARM, caller, data, await tenant_now(tx))
    return Counted(records=(record,), events=(event,))
