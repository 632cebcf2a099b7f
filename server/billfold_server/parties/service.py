"""Creates, changes and finds parties."""

from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from billfold import errors, ids
from billfold.contract.parties import CreateParty, Party, PartyKind, UpdateParty
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.db.outbox import NewEvent, emit
from billfold_server.parties import queries, rules
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["CREATED", "UPDATED", "create_party", "find_existing", "get_party", "list_parties", "update_party"]

CREATED: Final = "party.created"
UPDATED: Final = "party.updated"

_SEARCHED: Final = ("name", "email", "external_id")


async def create_party(tx: TenantTx, caller: Caller, body: CreateParty) -> Party:
    """Create a party, with its event and its audit record.

    Raises:
        errors.ExternalIdTaken: Another party of the tenant has the external id.
    """
    now = await tenant_now(tx)
    party_id = ids.uuid7()
    party = Party(
        id=ids.encode(Prefix.PARTY, party_id),
        kind=body.kind,
        name=body.name,
        external_id=body.external_id,
        email=body.email,
        roles=rules.without_repeats(body.roles),
        metadata=body.metadata,
        version=1,
        created_at=now,
        updated_at=now,
    )
    try:
        await queries.insert(party, party_id, _terms(party))
    except asyncpg.UniqueViolationError as error:
        raise _taken() from error
    given = [name for name in ("email", "external_id", "metadata") if getattr(body, name)]
    await _tell(tx, caller, CREATED, party, ["kind", "name", "roles", *given])
    return party


async def find_existing(tx: TenantTx, party_ids: Sequence[UUID]) -> set[UUID]:
    """Return which of these ids are parties of the tenant."""
    assert tx.open
    return await queries.find_existing(party_ids)


async def get_party(tx: TenantTx, party_id: UUID) -> Party:
    """Return a party.

    Raises:
        errors.NotFound: The tenant has no such party.
    """
    assert tx.open
    return _existing(await queries.find(party_id))


async def update_party(
    tx: TenantTx, caller: Caller, party_id: UUID, body: UpdateParty, *, check_version: Callable[[int], None]
) -> Party:
    """Change a party, with its event and its audit record. What changes nothing leaves no trace.

    Args:
        tx: The tenant's transaction.
        caller: Who changes it.
        party_id: Which one.
        body: What to change.
        check_version: Raises if the version isn't the one that the caller has read.

    Raises:
        errors.NotFound: The tenant has no such party.
        errors.PreconditionFailed: It has changed since the caller read it.
        errors.ExternalIdTaken: Another party of the tenant has the external id.
    """
    present = _existing(await queries.lock(party_id))
    check_version(present.version)
    changes = rules.changed_fields(msgspec.structs.asdict(present), body)
    if not changes:
        return present
    now = max(await tenant_now(tx), present.updated_at)
    party = msgspec.structs.replace(present, **changes, version=present.version + 1, updated_at=now)
    values = {**changes, "version": party.version, "updated_at": now}
    if not changes.keys().isdisjoint(_SEARCHED):
        values["search_terms"] = _terms(party)
    try:
        await queries.update(party_id, values)
    except asyncpg.UniqueViolationError as error:
        raise _taken() from error
    await _tell(tx, caller, UPDATED, party, list(changes))
    return party


async def list_parties(
    tx: TenantTx,
    *,
    external_id: str | None = None,
    kind: PartyKind | None = None,
    q: str | None = None,
    before: UUID | None = None,
    limit: int = 100,
) -> list[Party]:
    """Return parties that meet all conditions given, the newest first.

    Args:
        tx: The tenant's transaction.
        external_id: The caller's own id.
        kind: Person or company.
        q: Words, each of which begins a word of the party's name, mail address or external id.
        before: The party after which to go on.
        limit: How many at most.
    """
    assert tx.open
    search = None
    if q is not None and (search := rules.search_query(q)) is None:
        return []
    return await queries.list_page(external_id=external_id, kind=kind, search=search, before=before, limit=limit)


def _terms(party: Party) -> list[str]:
    return rules.search_terms(*(getattr(party, name) for name in _SEARCHED))


def _existing(party: Party | None) -> Party:
    if party is None:
        raise errors.NotFound("there is no such party", param="party_id")
    return party


def _taken() -> errors.ExternalIdTaken:
    return errors.ExternalIdTaken("another party has this external id", param="external_id")


async def _tell(tx: TenantTx, caller: Caller, event: str, party: Party, changed: list[str]) -> None:
    """Emit the event and record the audit of a change."""
    data = rules.event_data(party, changed)
    await emit(tx, NewEvent(id=ids.uuid7(), type=event, object_id=party.id, data=data, occurred_at=party.updated_at))
    await audit.record(tx, audit.new_record(caller, event, party.id, facts={"changed": sorted(changed)}))
