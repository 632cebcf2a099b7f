"""What others learn of vault tokens: events, which hold ids alone, and audit records."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import UNSET, UnsetType

from billfold import ids
from billfold.contract.events import EventType, VaultTokenEventData
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.audit.service import NewAuditRecord
from billfold_server.db import outbox
from billfold_server.db.outbox import NewEvent, new_event
from billfold_server.db.sets import Write, write_all
from billfold_server.db.wakeups import Work
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.tokens.rows import TokenRow

__all__ = [
    "NOT_RELEASED",
    "REFUSED",
    "SEARCHED",
    "caller_id",
    "tell",
    "telling",
    "token_event",
]

NOT_RELEASED: Final = "vault_token.not_released"
REFUSED: Final = "vault_token.refused"
SEARCHED: Final = "vault_token.searched"


def token_event(
    kind: EventType[VaultTokenEventData], row: TokenRow, now: datetime, purpose: str | UnsetType = UNSET
) -> NewEvent:
    """Return an event of a token: its id, kind and party, and nothing of what it stands for."""
    party_id = None if row.party_id is None else ids.encode(Prefix.PARTY, row.party_id)
    data = VaultTokenEventData(id=row.wire_id, kind=row.kind, party_id=party_id, purpose=purpose)
    return new_event(kind, row.wire_id, data, now)


def caller_id(caller: Caller) -> str:
    """Return for whom is counted: the person in whose name is asked, or the program that asks for itself."""
    if caller.user_id is not None:
        return ids.encode(Prefix.USER, caller.user_id)
    return ids.encode(Prefix.CLIENT, caller.client_id)


async def tell(
    tx: TenantTx,
    *,
    writes: Sequence[Write] = (),
    records: Sequence[NewAuditRecord] = (),
    events: Sequence[NewEvent] = (),
) -> None:
    """Write rows, audit records and events in one statement, the last one of a transaction if possible.

    Args:
        tx: The tenant's transaction.
        writes: The change itself, where it is a set of rows.
        records: What is recorded of it.
        events: What is told of it.
    """
    await write_all(tx, [*writes, *telling(tx, records, events)])


def telling(tx: TenantTx, records: Sequence[NewAuditRecord], events: Sequence[NewEvent]) -> list[Write]:
    """Return what writes audit records and events, for a statement that is to be carried out now."""
    if events:
        tx.wake(Work.EVENTS)
    return [*audit.writes(records), *outbox.writes(events)]
