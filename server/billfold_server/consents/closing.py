"""Ends what a customer or a third party has, all of it."""

from datetime import datetime
from uuid import UUID

from billfold_server.consents import queries, rules
from billfold_server.consents.ending import end_grants
from billfold_server.consents.rows import Consent
from billfold_server.consents.rules import By
from billfold_server.consents.stepping import WHY, stepped
from billfold_server.consents.stores import update_writes
from billfold_server.consents.telling import Change, tell
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import SYSTEM, Caller
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["end_all", "end_one", "hold_all", "list_standing"]


async def hold_all(tx: TenantTx, *, party_id: UUID) -> None:
    """Keep others from changing what a customer has allowed, until the transaction ends. It comes before grants."""
    await queries.lock_standing(tx, party_id)


async def end_all(tx: TenantTx, *, party_id: UUID, actor: Caller, by: By, reason: str) -> int:
    """End a customer's consents, and return how many hadn't ended. It is the last thing of its transaction.

    Args:
        tx: The tenant's transaction.
        party_id: Whose that allows.
        actor: Who ends them.
        by: On which side.
        reason: Why, in words.
    """
    now = await tenant_now(tx)
    found = await queries.lock_standing(tx, party_id)
    changes = [_ending(each, actor, by=by, now=now, reason=reason) for each in found]
    for each in changes:
        await end_grants(tx, WHY, consent_id=each.consent.id, caller=each.caller)
    if changes:
        await tell(tx, changes, rows=update_writes([each.consent for each in changes]))
    return len(changes)


async def list_standing(tx: TenantTx, client_id: UUID, limit: int, *, until: datetime | None = None) -> list[UUID]:
    """Return a third party's consents that haven't ended, as far as their rows say.

    Args:
        tx: The tenant's transaction.
        client_id: Whose they are.
        limit: How many at most.
        until: Only those that were given until then, or asked for where nobody has given them.
    """
    return await queries.list_standing(tx, client_id, limit, until)


async def end_one(tx: TenantTx, consent_id: UUID, *, actor: Caller, by: By, reason: str) -> None:
    """End a consent, unless it has ended. Arguments are those of ``revoke``."""
    consent = await queries.lock(tx, consent_id)
    if consent is None or consent.status in rules.FINAL:
        return
    change = _ending(consent, actor, by=by, now=await tenant_now(tx), reason=reason)
    await end_grants(tx, WHY, consent_id=consent_id, caller=change.caller)
    await tell(tx, [change], rows=update_writes([change.consent]))


def _ending(consent: Consent, actor: Caller, *, by: By, now: datetime, reason: str) -> Change:
    """Return how a consent ends that stands: by its time, where that is over, or else by somebody."""
    event = rules.overdue(consent.status, ends_at=consent.ends_at, expires_at=consent.expires_at, now=now)
    if event is None:
        return stepped(consent, "revoke", actor, by=by, now=now, reason=reason)
    return stepped(consent, event, SYSTEM, by="system", now=now)
