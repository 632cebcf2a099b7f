"""Forgets what tokens say of a party."""

from datetime import datetime
from uuid import UUID

from billfold import ids
from billfold.contract.events import VAULT_TOKEN_FORGOTTEN, VaultTokenForgottenEventData
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.db.outbox import new_event
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.tokens import queries, telling

__all__ = ["forget"]


async def forget(tx: TenantTx, caller: Caller, party_id: UUID, *, now: datetime, reason: str | None = None) -> int:
    """Blank everything that tokens of a party say of it, and return how many there were.

    It goes together with shredding the party's keys, by which the sealed values are lost everywhere; from then on such
    a token is answered with ``token_forgotten``.

    Args:
        tx: The tenant's transaction.
        caller: Who erases.
        party_id: The party.
        now: The tenant's time.
        reason: Why.
    """
    forgotten = await queries.forget(tx, party_id, now)
    await queries.delete_fingerprints(tx, sorted({value for _, value in forgotten if value is not None}))
    wire_ids = [ids.encode(Prefix.VAULT_TOKEN, token_id) for token_id, _ in forgotten]
    await telling.tell(
        tx,
        records=[audit.new_record(caller, VAULT_TOKEN_FORGOTTEN.name, each, reason=reason) for each in wire_ids],
        events=[
            new_event(VAULT_TOKEN_FORGOTTEN, each, VaultTokenForgottenEventData(id=each), now) for each in wire_ids
        ],
    )
    return len(forgotten)
