"""What the bank's staff see of notifications: to whom, of what, and what became of each; never the token."""

from collections.abc import Sequence
from uuid import UUID

from billfold import ids
from billfold.contract.event_notifications import EventNotification, EventNotificationState, EventNotificationWay
from billfold.contract.texts import without_hidden
from billfold.ids import Prefix
from billfold_server.open_banking.events import queries, tokens
from billfold_server.open_banking.events.rows import Told
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["list_notifications", "shown"]


async def list_notifications(
    tx: TenantTx,
    *,
    client_id: UUID | None = None,
    state: EventNotificationState | None = None,
    before: UUID | None = None,
    limit: int,
) -> Sequence[Told]:
    """Return what third parties were told, the newest first.

    Args:
        tx: The tenant's transaction.
        client_id: Only what this one was told.
        state: Only what has come so far.
        before: The notification after which to go on.
        limit: How many at most.
    """
    wanted = None if state is None else state.value
    return await queries.list_told(tx, client_id=client_id, state=wanted, before=before, limit=limit)


def shown(told: Told) -> EventNotification:
    """Return a notification as the contract has it.

    What a third party has said was taken as it came, and may hold what turns a page or a terminal around.
    """
    return EventNotification(
        jti=str(told.id),
        client_id=ids.encode(Prefix.CLIENT, told.client_id),
        event_id=ids.encode(Prefix.EVENT, told.event_id),
        object_id=told.resource,
        event_types=list(tokens.event_types(told.token)),
        state=EventNotificationState(told.state),
        occurred_at=told.occurred_at,
        created_at=told.created_at,
        attempts=told.attempts,
        next_attempt_at=told.next_attempt_at,
        last_attempt_at=told.last_attempt_at,
        last_result=told.last_result,
        ended_at=told.ended_at,
        ended_by=None if told.ended_by is None else EventNotificationWay(told.ended_by),
        error=None if told.error is None else without_hidden(told.error),
        error_description=None if told.error_description is None else without_hidden(told.error_description),
    )
