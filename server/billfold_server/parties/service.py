"""Creates, changes and finds parties.

What is personal of a party is sealed under a key of its own. Keys are got before a transaction begins, or after it has
ended: so creating, changing and finding are done in steps.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from billfold import errors, ids
from billfold.contract import events
from billfold.contract.events import EventType, PartyEventData
from billfold.contract.parties import CreateParty, Party, PartyKind, UpdateParty
from billfold_server.audit import service as audit
from billfold_server.db.outbox import emit, new_event
from billfold_server.http.routing import Call
from billfold_server.keys.service import Fingerprinter, Keys, Opener, Place, Sealer
from billfold_server.parties import queries, rules
from billfold_server.parties.rows import PartyRow, Profile
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller, TenantRef
from billfold_server.tenancy.transaction import Database, TenantTx

__all__ = [
    "SEARCH_PURPOSE",
    "Draft",
    "PartyRow",
    "Search",
    "create_party",
    "draft_party",
    "erase_party",
    "find_existing",
    "forget_words",
    "get_party",
    "hold_parties",
    "hold_party",
    "list_parties",
    "lock_party",
    "open_parties",
    "reindex",
    "search_for",
    "tell_parties",
    "update_party",
]


SEARCH_PURPOSE: Final = "parties.search"
"""For what the key is by which parties are found."""

_ROUNDS: Final = 5
_PROFILE: Final = frozenset(Profile.__struct_fields__)
_SEARCHED: Final = ("name", "email", "external_id")

Transaction = Callable[[], AbstractAsyncContextManager[TenantTx]]

Search = Sequence[Sequence[Sequence[int]]]
"""What is looked for: for each term the digests of which a party must have one, and all of that once for each version
of the key and each form of the index."""

_FORM: Final = 1 << 16
"""What is added to the version of the key where the name of the field goes into digests.

Before, the same word in a name and in a mail address had the same digest, which showed that they are the same. Those
are found until ``reindex`` has made them anew.
"""


class _Searched(msgspec.Struct, frozen=True):
    """By what a party is found.

    Attributes:
        digests: Of the beginnings of its words.
        version: Of the key that made them, and of their form.
    """

    digests: list[int]
    version: int


class Draft(msgspec.Struct, frozen=True):
    """A party that is ready to be written.

    Attributes:
        id: Its id.
        body: What was asked for.
        sealed_profile: What is personal of it.
        searched: By what it is found.
    """

    id: UUID
    body: CreateParty
    sealed_profile: bytes
    searched: _Searched


# Creating.


async def draft_party(keys: Keys, tenant: TenantRef, body: CreateParty, *, party_id: UUID | None = None) -> Draft:
    """Seal what is personal of a new party, outside of any transaction.

    Args:
        keys: Under which it lies.
        tenant: Whose party it is.
        body: What is said of it.
        party_id: Its id, where somebody has decided on one.

    Raises:
        errors.SubjectForgotten: Somebody of this id was forgotten.
        errors.KeysUnavailable: It can't be sealed now, so nothing may be written.
    """
    party_id = party_id or ids.uuid7()
    fingerprinter = await keys.fingerprinter(tenant, SEARCH_PURPOSE)
    sealer = await keys.sealer(tenant, party_id)
    profile = Profile(name=body.name, email=body.email, metadata=body.metadata)
    searched = _searched(fingerprinter, body.name, body.email, body.external_id)
    return Draft(party_id, body, _seal(sealer, party_id, profile), searched)


async def create_party(tx: TenantTx, caller: Caller, draft: Draft) -> Party:
    """Create a party, with its event and its audit record.

    Raises:
        errors.ExternalIdTaken: Another party of the tenant has the external id.
    """
    now, body = await tenant_now(tx), draft.body
    row = PartyRow(
        id=draft.id,
        kind=body.kind,
        sealed_profile=draft.sealed_profile,
        external_id=body.external_id,
        roles=rules.without_repeats(body.roles),
        forgotten_at=None,
        version=1,
        created_at=now,
        updated_at=now,
    )
    values = msgspec.structs.asdict(row)
    values |= {"search_digests": draft.searched.digests, "search_version": draft.searched.version}
    try:
        await queries.insert(values)
    except asyncpg.UniqueViolationError as error:
        raise _taken() from error
    party = row.to_response(Profile(name=body.name, email=body.email, metadata=body.metadata))
    given = [name for name in ("email", "external_id", "metadata") if getattr(body, name)]
    await _tell(tx, caller, events.PARTY_CREATED, party, ["kind", "name", "roles", *given])
    return party


# Reading.


async def find_existing(tx: TenantTx, party_ids: Sequence[UUID]) -> set[UUID]:
    """Return which of these ids are parties of the tenant that weren't forgotten."""
    assert tx.open
    return await queries.find_existing(party_ids)


async def hold_party(tx: TenantTx, party_id: UUID) -> bool:
    """Keep a party from being forgotten until the transaction ends, and tell whether it is there.

    Whoever writes what erasure would have to find takes it first: then erasure comes before, or finds it.
    """
    return await queries.hold(tx, party_id)


async def hold_parties(tx: TenantTx, party_ids: Sequence[UUID]) -> set[UUID]:
    """Do so with many, and return which of them are there."""
    return await queries.hold_many(tx, party_ids)


async def lock_party(tx: TenantTx, party_id: UUID) -> None:
    """Wait for all who hold a party, and let nobody hold it until the transaction ends."""
    assert tx.open
    await queries.lock(party_id)


async def get_party(tx: TenantTx, party_id: UUID) -> PartyRow:
    """Return a party as it lies; ``open_parties`` opens it.

    Raises:
        errors.NotFound: The tenant has no such party.
    """
    assert tx.open
    return _existing(await queries.find(party_id))


async def open_parties(keys: Keys, tenant: TenantRef, rows: Sequence[PartyRow]) -> list[Party]:
    """Return parties as the API shows them, by one query for the keys of all of them, outside of any transaction.

    Whoever was forgotten meanwhile is shown without what was known of them.

    Raises:
        errors.KeysUnavailable: They can't be opened now.
    """
    sealed = [row.sealed_profile for row in rows if row.sealed_profile is not None]
    if not sealed:
        return [row.to_response(None) for row in rows]
    opener = await keys.opener(tenant, sealed)
    return [row.to_response(_open(opener, row)) for row in rows]


async def tell_parties(call: Call, party_ids: Sequence[UUID]) -> dict[UUID, Party]:
    """Return which of these ids are parties, with the parties as the API shows them.

    Raises:
        errors.KeysUnavailable: They can't be opened now.
    """
    async with call.tx() as tx:
        assert tx.open
        rows = await queries.find_many(party_ids)
    shown = await open_parties(call.services.keys, call.tenant, rows)
    return dict(zip((row.id for row in rows), shown, strict=True))


async def search_for(keys: Keys, tenant: TenantRef, q: str) -> Search | None:
    """Return what to look for so that each word of a text begins a word of the party; None where it has no words.

    While the key is being rotated, digests of both versions are looked for, and so are those of the former form.
    """
    terms = rules.query_terms(q)
    if terms is None:
        return None
    fingerprinter = await keys.fingerprinter(tenant, SEARCH_PURPOSE)
    return [
        *_alternatives([[_said(name, term) for name in _SEARCHED] for term in terms], fingerprinter),
        *_alternatives([[term.encode()] for term in terms], fingerprinter),
    ]


def _alternatives(terms: Sequence[Sequence[bytes]], fingerprinter: Fingerprinter) -> list[list[list[int]]]:
    """Return digests of terms, each of which may be said in several ways, once for each version of the key."""
    of_terms = [[fingerprinter.digests(said) for said in ways] for ways in terms]
    versions = range(len(of_terms[0][0]))
    return [[[_short(digests[at].digest) for digests in ways] for ways in of_terms] for at in versions]


async def list_parties(
    tx: TenantTx,
    *,
    external_id: str | None = None,
    kind: PartyKind | None = None,
    search: Search | None = None,
    before: UUID | None = None,
    limit: int = 100,
) -> list[PartyRow]:
    """Return parties that meet all conditions given, the newest first, as they lie.

    Args:
        tx: The tenant's transaction.
        external_id: The caller's own id.
        kind: Person or company.
        search: What ``search_for`` returns.
        before: The party after which to go on.
        limit: How many at most.
    """
    assert tx.open
    return await queries.list_page(tx, external_id=external_id, kind=kind, search=search, before=before, limit=limit)


# Changing.


async def update_party(
    transaction: Transaction,
    keys: Keys,
    tenant: TenantRef,
    party_id: UUID,
    body: UpdateParty,
    *,
    caller: Caller,
    check_version: Callable[[int], None],
) -> Party:
    """Change a party, with its event and its audit record. What changes nothing leaves no trace.

    It is opened before the transaction that changes it; if somebody else changes it in between, it is opened again.

    Args:
        transaction: Opens the tenant's transaction.
        keys: What opens and seals.
        tenant: Whose party.
        party_id: Which one.
        body: What to change.
        caller: Who changes it.
        check_version: Raises if the version isn't the one that the caller has read.

    Raises:
        errors.NotFound: The tenant has no such party.
        errors.PartyForgotten: It was forgotten.
        errors.PreconditionFailed: It has changed since the caller read it.
        errors.ExternalIdTaken: Another party of the tenant has the external id.
        errors.Busy: Others change it all the time.
    """
    for _ in range(_ROUNDS):
        async with transaction() as tx:
            known = await get_party(tx, party_id)
        check_version(known.version)
        if known.forgotten_at is not None:
            raise errors.PartyForgotten("the party was forgotten", param="party_id")
        (present,) = await open_parties(keys, tenant, [known])
        try:
            sealer = await keys.sealer(tenant, party_id)
        except errors.SubjectForgotten:
            # Its keys were destroyed though nobody has forgotten it otherwise.
            raise errors.PartyForgotten("the party's keys were destroyed", param="party_id") from None
        fingerprinter = await keys.fingerprinter(tenant, SEARCH_PURPOSE)
        async with transaction() as tx:
            if _existing(await queries.lock(party_id)) == known:
                return await _change(tx, caller, _Opened(known.id, present, sealer, fingerprinter), body)
    raise errors.Busy("others change the party all the time", retry_after_s=1)


class _Opened(msgspec.Struct, frozen=True):
    """A party that is locked, as it is so far, with what seals what it will be."""

    id: UUID
    present: Party
    sealer: Sealer
    fingerprinter: Fingerprinter


async def _change(tx: TenantTx, caller: Caller, opened: _Opened, body: UpdateParty) -> Party:
    present = opened.present
    changes = rules.changed_fields(msgspec.structs.asdict(present), body)
    if not changes:
        return present
    now = max(await tenant_now(tx), present.updated_at)
    party = msgspec.structs.replace(present, **changes, version=present.version + 1, updated_at=now)
    values: dict[str, Any] = {name: value for name, value in changes.items() if name not in _PROFILE}
    values |= {"version": party.version, "updated_at": now}
    if not changes.keys().isdisjoint(_PROFILE):
        profile = Profile(name=party.name, email=party.email, metadata=party.metadata)
        values["sealed_profile"] = _seal(opened.sealer, opened.id, profile)
    if not changes.keys().isdisjoint(_SEARCHED):
        searched = _searched(opened.fingerprinter, party.name, party.email, party.external_id)
        values |= {"search_digests": searched.digests, "search_version": searched.version}
    try:
        await queries.update(opened.id, values)
    except asyncpg.UniqueViolationError as error:
        raise _taken() from error
    await _tell(tx, caller, events.PARTY_UPDATED, party, list(changes))
    return party


async def erase_party(tx: TenantTx, party_id: UUID, now: datetime) -> bool:
    """Leave of a party what the books need, and tell whether it wasn't forgotten before."""
    return await queries.erase(tx, party_id, now)


async def forget_words(tx: TenantTx, party_id: UUID) -> None:
    """Let a party whose keys were destroyed be found by what lies plain alone, once ``reindex`` has come by it."""
    await queries.forget_words(tx, party_id)


# The index.


async def reindex(database: Database, keys: Keys, tenant: TenantRef, *, batch: int) -> int:
    """Let some of the parties that are found by an older version of the key be found by the newest.

    Args:
        database: The door to the tenant's tables.
        keys: What opens parties and makes digests.
        tenant: Whose parties.
        batch: How many at most.

    Returns:
        How many there were.
    """
    fingerprinter = await keys.fingerprinter(tenant, SEARCH_PURPOSE)
    async with database.tx(tenant) as tx:
        rows = await queries.list_outdated(tx, _newest(fingerprinter), batch)
    parties = await open_parties(keys, tenant, rows)
    found = [_searched(fingerprinter, party.name, party.email, party.external_id) for party in parties]
    async with database.tx(tenant) as tx:
        for row, searched in zip(rows, found, strict=True):
            await queries.set_search(tx, row.id, row.version, searched.digests, searched.version)
    return len(rows)


def _searched(fingerprinter: Fingerprinter, *texts: str | None) -> _Searched:
    """Return by what a party is found with these texts in its fields, in the order of ``_SEARCHED``."""
    said = [
        _said(name, term)
        for name, text in zip(_SEARCHED, texts, strict=True)
        for term in rules.index_terms(rules.search_words(text))
    ]
    # In the order of terms, digests would tell which of them begin alike.
    return _Searched(sorted(_short(fingerprinter.digests(each)[0].digest) for each in said), _newest(fingerprinter))


def _said(name: str, term: str) -> bytes:
    """Return of what a digest is made: a term together with its field. There is no zero byte in either."""
    return f"{name}\0{term}".encode()


def _newest(fingerprinter: Fingerprinter) -> int:
    return _FORM + fingerprinter.digests(b"")[0].version


def _short(digest: bytes) -> int:
    """Return as much of a digest as finds a party: of 64 bits, two terms share all once in 2^32 terms."""
    return int.from_bytes(digest[:8], "big", signed=True)


def _place(party_id: UUID) -> Place:
    return Place("parties", str(party_id), "sealed_profile")


def _seal(sealer: Sealer, party_id: UUID, profile: Profile) -> bytes:
    return sealer.seal(_place(party_id), msgspec.json.encode(profile))


def _open(opener: Opener, row: PartyRow) -> Profile | None:
    if row.sealed_profile is None:
        return None
    try:
        return msgspec.json.decode(opener.open(_place(row.id), row.sealed_profile), type=Profile)
    except errors.SubjectForgotten:
        return None


def _existing(row: PartyRow | None) -> PartyRow:
    if row is None:
        raise errors.NotFound("there is no such party", param="party_id")
    return row


def _taken() -> errors.ExternalIdTaken:
    return errors.ExternalIdTaken("another party has this external id", param="external_id")


async def _tell(
    tx: TenantTx, caller: Caller, what: EventType[PartyEventData], party: Party, changed: Sequence[str]
) -> None:
    """Emit the event and record the audit of what happened to a party."""
    data = rules.event_data(party, changed)
    await emit(tx, new_event(what, party.id, data, party.updated_at))
    await audit.record(tx, audit.new_record(caller, what.name, party.id, facts={"changed": sorted(changed)}))
