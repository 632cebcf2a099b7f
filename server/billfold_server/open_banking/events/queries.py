"""The SQL of subscriptions and notifications."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from billfold_server.db.filters import Filter
from billfold_server.db.personal import counted
from billfold_server.open_banking.events.rows import (
    SUBSCRIPTION,
    Notification,
    Outcome,
    Pause,
    Subscription,
    Told,
    to_subscription,
)
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "ANYBODY",
    "add",
    "arm",
    "bury",
    "delete",
    "disarm",
    "due",
    "end",
    "find_of_client",
    "find_subscriptions",
    "insert",
    "list_told",
    "list_unread",
    "lock",
    "next_due_at",
    "pause",
    "retry",
    "sweep",
    "take",
    "update",
]

_COLUMNS: Final = ", ".join(Notification.__struct_fields__)

ANYBODY: Final = "SELECT EXISTS (SELECT FROM event_subscriptions)"
"""Whether any third party wants to hear of anything."""
_OF_CLIENTS: Final = f"SELECT {SUBSCRIPTION} FROM event_subscriptions WHERE client_id = ANY($1)"  # noqa: S608
_BY_ID: Final = f"SELECT {SUBSCRIPTION} FROM event_subscriptions WHERE id = $1"  # noqa: S608 - constants
_INSERT: Final = f"""
INSERT INTO event_subscriptions ({SUBSCRIPTION}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (client_id) DO NOTHING
RETURNING id
"""  # noqa: S608 - constants
_UPDATE: Final = """
UPDATE event_subscriptions
SET callback_url = $2, version = $3, event_types = $4, paused_because = NULL, updated_at = $5
WHERE id = $1
"""


async def find_of_client(tx: TenantTx, client_id: UUID) -> Subscription | None:
    """Return a third party's subscription, or None."""
    row = await tx.fetchrow(_OF_CLIENTS, [client_id])
    return None if row is None else to_subscription(row)


async def find_subscriptions(tx: TenantTx, client_ids: Collection[UUID], *, lock: bool = False) -> list[Subscription]:
    """Return third parties' subscriptions; locked, they neither change nor end before the transaction does."""
    rows = await tx.fetch(f"{_OF_CLIENTS} ORDER BY id{' FOR SHARE' if lock else ''}", list(client_ids))
    return [to_subscription(row) for row in rows]


async def lock(tx: TenantTx, subscription_id: UUID) -> Subscription | None:
    """Return a subscription and keep others from it until the transaction ends."""
    row = await tx.fetchrow(f"{_BY_ID} FOR UPDATE", subscription_id)
    return None if row is None else to_subscription(row)


async def insert(tx: TenantTx, new: Subscription) -> bool:
    """Write a subscription, unless its third party has one; tell whether it was written."""
    types = None if new.event_types is None else list(new.event_types)
    values = (new.id, new.client_id, new.callback_url, new.version, types, new.paused_because, new.taken_at)
    return await tx.fetchval(_INSERT, *values, new.created_at, new.updated_at) is not None


async def update(tx: TenantTx, changed: Subscription) -> None:
    """Write what a third party may change; whatever was paused goes on."""
    types = None if changed.event_types is None else list(changed.event_types)
    await tx.execute(_UPDATE, changed.id, changed.callback_url, changed.version, types, changed.updated_at)


async def delete(tx: TenantTx, subscription_id: UUID) -> None:
    """Delete a subscription."""
    await tx.execute("DELETE FROM event_subscriptions WHERE id = $1", subscription_id)


async def pause(tx: TenantTx, subscription_id: UUID, because: Pause, now: datetime) -> None:
    """Push nothing more until the subscription is changed."""
    await tx.execute(
        "UPDATE event_subscriptions SET paused_because = $2, updated_at = $3 WHERE id = $1",
        subscription_id,
        because,
        now,
    )


async def take(tx: TenantTx, client_id: UUID, now: datetime) -> None:
    """Note that something which was pushed was taken."""
    await tx.execute("UPDATE event_subscriptions SET taken_at = $2 WHERE client_id = $1", client_id, now)


_ADD: Final = f"""
INSERT INTO event_notifications ({_COLUMNS}, state, next_attempt_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'unread', $11)
ON CONFLICT (client_id, event_id, resource) DO NOTHING
"""  # noqa: S608 - constants


async def add(tx: TenantTx, rows: Sequence[tuple[Notification, datetime | None]]) -> None:
    """Write notifications, each with when it is to be pushed; those that are there already stay as they are."""
    names = Notification.__struct_fields__
    await tx.executemany(_ADD, [(*(getattr(each, name) for name in names), due_at) for each, due_at in rows])


# Of one resource, only the first that isn't through yet is sent. What is due is found by when it is, and each is asked
# by itself whether it is the first, so that a batch costs as much as a batch, however much waits behind it.
_FIRST: Final = """
n.client_id = $1 AND n.next_attempt_at IS NOT NULL AND n.sequence = (
    SELECT first.sequence FROM event_notifications AS first
    WHERE first.client_id = $1 AND first.resource = n.resource AND first.next_attempt_at IS NOT NULL
    ORDER BY first.client_id, first.resource, first.sequence LIMIT 1)
"""
_DUE: Final = f"""
SELECT {_COLUMNS} FROM event_notifications AS n WHERE {_FIRST} AND n.next_attempt_at <= $2
ORDER BY n.next_attempt_at, n.sequence LIMIT $3
"""  # noqa: S608 - constants
_NEXT: Final = f"""
SELECT n.next_attempt_at FROM event_notifications AS n WHERE {_FIRST} ORDER BY n.next_attempt_at, n.sequence LIMIT 1
"""  # noqa: S608 - constants


async def due(tx: TenantTx, client_id: UUID, now: datetime, limit: int) -> list[Notification]:
    """Return what is to be sent now, of each resource the first."""
    return [Notification(**dict(row)) for row in await tx.fetch(_DUE, client_id, now, limit)]


async def next_due_at(tx: TenantTx, client_id: UUID) -> datetime | None:
    """Return when there is something to send next, or None."""
    at: datetime | None = await tx.fetchval(_NEXT, client_id)
    return at


async def retry(
    tx: TenantTx,
    tried: Notification,
    *,
    result: str,
    error: tuple[str, str] | None,
    now: datetime,
    next_at: datetime,
) -> bool:
    """Note an attempt that failed, with the code and words of who refused it, and when the next one is.

    Of what is pushed anew since, an attempt from before says nothing; tell whether it was noted.
    """
    done = await tx.execute(
        """
        UPDATE event_notifications
        SET attempts = attempts + 1, last_result = $2, last_attempt_at = $3, next_attempt_at = $4, error = $5,
            error_description = $6
        WHERE id = $1 AND state = 'unread' AND next_attempt_at IS NOT NULL AND attempts = $7
        """,
        tried.id,
        result,
        now,
        next_at,
        *(error or (None, None)),
        tried.attempts,
    )
    return counted(done) > 0


async def bury(tx: TenantTx, tried: Notification, *, result: str, error: tuple[str, str] | None, now: datetime) -> bool:
    """Note the last attempt, as ``retry`` does: it is a dead letter, which polling still brings."""
    done = await tx.execute(
        """
        UPDATE event_notifications
        SET attempts = attempts + 1, last_result = $2, last_attempt_at = $3, next_attempt_at = NULL, state = 'dead',
            error = $4, error_description = $5
        WHERE id = $1 AND state = 'unread' AND attempts = $6
        """,
        tried.id,
        result,
        now,
        *(error or (None, None)),
        tried.attempts,
    )
    return counted(done) > 0


async def disarm(tx: TenantTx, client_id: UUID) -> None:
    """Push nothing of what a third party hasn't read."""
    await tx.execute(
        "UPDATE event_notifications SET next_attempt_at = NULL WHERE client_id = $1 AND next_attempt_at IS NOT NULL",
        client_id,
    )


async def arm(tx: TenantTx, client_id: UUID, now: datetime) -> bool:
    """Push what a third party hasn't read and that isn't given up; tell whether there is anything."""
    done = await tx.execute(
        "UPDATE event_notifications SET next_attempt_at = $2, attempts = 0 WHERE client_id = $1 AND state = 'unread'",
        client_id,
        now,
    )
    return counted(done) > 0


_UNREAD: Final = f"""
SELECT {_COLUMNS} FROM event_notifications
WHERE client_id = $1 AND state IN ('unread', 'dead') AND scope = ANY($2::text[])
ORDER BY sequence, id
LIMIT $3
"""  # noqa: S608 - constants


async def list_unread(tx: TenantTx, client_id: UUID, scopes: Collection[str], limit: int) -> list[Notification]:
    """Return what a third party hasn't read, the oldest first."""
    return [Notification(**dict(row)) for row in await tx.fetch(_UNREAD, client_id, list(scopes), limit)]


_TOLD: Final = ", ".join(Told.__struct_fields__)
# States stand in the text, and not beside it: an index of some of them serves no plan that is made for all.
_OF: Final = {each: f"state = '{each}'" for each in ("unread", "dead", "acknowledged", "refused")}


async def list_told(
    tx: TenantTx, *, client_id: UUID | None, state: str | None, before: UUID | None, limit: int
) -> list[Told]:
    """Return notifications with what has become of them, the newest first."""
    where = Filter()
    where.add("id < $", before)
    where.add("client_id = $", client_id)
    if state is not None:
        where.add(_OF[state])
    sql = f"SELECT {_TOLD} FROM event_notifications WHERE {where} ORDER BY id DESC LIMIT {limit:d}"  # noqa: S608
    return [Told(**dict(row)) for row in await tx.fetch(sql, *where.values)]


_END: Final = """
UPDATE event_notifications AS n
SET state = $3, ended_at = $4, ended_by = $5, next_attempt_at = NULL, error = e.error,
    error_description = e.description, attempts = n.attempts + $6
FROM unnest($2::uuid[], $7::text[], $8::text[]) AS e (id, error, description)
WHERE n.id = e.id AND n.client_id = $1 AND n.state IN ('unread', 'dead')
RETURNING n.id
"""


async def end(
    tx: TenantTx,
    client_id: UUID,
    notification_ids: Sequence[UUID],
    outcome: Outcome,
    *,
    now: datetime,
    by: str,
    errors: Sequence[tuple[str, str]] = (),
) -> int:
    """Note how notifications of a third party have ended, for good, and return how many that were.

    Args:
        tx: The tenant's transaction.
        client_id: Whose; those of others stay as they are.
        notification_ids: Which; those that have ended before stay as they are.
        outcome: How.
        now: The tenant's time.
        by: ``push`` or ``poll``.
        errors: A code and words for each that is refused.
    """
    said = [*errors, *[(None, None)] * (len(notification_ids) - len(errors))]
    rows = await tx.fetch(
        _END,
        client_id,
        list(notification_ids),
        outcome,
        now,
        by,
        int(by == "push"),
        [error for error, _ in said],
        [words for _, words in said],
    )
    return len(rows)


_SWEEP: Final = """
DELETE FROM event_notifications WHERE id IN (
    SELECT id FROM event_notifications WHERE created_at < $1 ORDER BY created_at LIMIT $2
)
"""


async def sweep(tx: TenantTx, before: datetime, limit: int) -> int:
    """Delete notifications that were written before an instant, read or not, and return how many."""
    return counted(await tx.execute(_SWEEP, before, limit))
