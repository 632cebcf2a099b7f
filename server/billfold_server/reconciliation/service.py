"""Bank statements as other rooms and the HTTP edge know them.

A file is read before the ledger's engine sees it, in a thread, since that takes most of the time and touches nothing;
what it does to the books is one command.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Final
from uuid import UUID

import msgspec

from billfold import errors
from billfold.clock import SystemClock
from billfold.contract.statements import EntryOutcome, StatementEntry, StatementFormat, StatementImport
from billfold_server.keys.service import TENANT_SUBJECT, Keyring, Keys, Opener, Place, Sealer, key_id_of
from billfold_server.ledger.service import Answer, Engine, undone_by_hand
from billfold_server.reconciliation import queries, rules
from billfold_server.reconciliation.assigning import ASSIGN_ENTRY, Assignment
from billfold_server.reconciliation.kinds import (
    IMPORT_STATEMENTS,
    PreparedEntry,
    PreparedStatement,
    StatementFile,
)
from billfold_server.reconciliation.model import unreadable
from billfold_server.reconciliation.ordered import ordered_named
from billfold_server.reconciliation.reversing import REVERSE_IMPORT, ImportReversal
from billfold_server.reconciliation.rows import SealedEntry, StatementEntryRow, Texts
from billfold_server.reconciliation.statements import Statement, read_statements
from billfold_server.reconciliation.stores import STORES
from billfold_server.reconciliation.undoing import check_assignment, check_in_suspense, put_back, undoing_keys
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller, TenantRef
from billfold_server.tenancy.transaction import Database, TenantTx
from billfold_server.wallets import service as wallets

__all__ = [
    "ASSIGN_ENTRY",
    "IMPORT_STATEMENTS",
    "REVERSE_IMPORT",
    "STORES",
    "Assignment",
    "ImportReversal",
    "StatementFile",
    "count_waiting",
    "dedup_secret",
    "get_entry",
    "get_import",
    "import_file",
    "list_entries",
    "list_imports",
    "open_answer",
    "open_entries",
    "prepare_assignment",
    "prepare_file",
    "require_feature",
    "reverse_import",
    "sums_of_import",
]

_FEATURE: Final = "statements"
_MAX_ALIASES_A_QUERY: Final = 50_000
_MAX_DAYS_AHEAD: Final = 31
"""Longer than any holidays for which a bank has booked ahead, and soon over where a statement's day is a mistake."""
_MAX_BANK_ACCOUNT_CHARS: Final = 100
"""Far more than any bank's account number has, and short enough to be a key."""
_MAX_STATEMENT_ID_CHARS: Final = 500
"""Account, number and period are in it, too; lists of imports and events show it whole."""

undone_by_hand("statement_suspense", keys=undoing_keys, check=check_in_suspense)
undone_by_hand("statement_assignment", keys=undoing_keys, check=check_assignment, note=put_back)

_Levels = Sequence[Sequence[rules.AliasLevels]]
"""The levels of each entry of each statement."""


def require_feature(tenant: TenantRef) -> None:
    """Refuse a tenant whose manifest doesn't turn statements on.

    Raises:
        FeatureDisabled: It doesn't.
    """
    if _FEATURE not in tenant.manifest.features:
        msg = f"the tenant's manifest doesn't list {_FEATURE} under features"
        raise errors.FeatureDisabled(msg, feature=_FEATURE)


def dedup_secret(keyring: Keyring, tenant: TenantRef) -> bytes:
    """Return the tenant's own secret for the keys by which entries are known again; the same for good."""
    return keyring.derive(f"statement entries {tenant.id}")


async def prepare_file(
    database: Database, keys: Keys, tenant: TenantRef, data: bytes, *, secret: bytes
) -> StatementFile:
    """Read a file, find which of the names in it are aliases of wallets, and seal what it says of people.

    Only those aliases are looked up again when the command is decided; one given in the meantime counts for the next
    file. What an entry says is sealed under the key of the party that it names, else under the tenant's own.

    Args:
        database: The door to the tenant's tables.
        keys: What seals.
        tenant: Whose bank statement it is.
        data: The file as the bank sent it.
        secret: What ``dedup_secret`` returns for the tenant.

    Raises:
        StatementUnreadable: It isn't a statement file, or a broken one; ``line`` and ``reason`` say where and why.
        KeysUnavailable: It can't be sealed now.
    """
    statements, levels, candidates = await asyncio.to_thread(_read, data, secret)
    known: dict[wallets.AliasKey, UUID] = {}
    named = [each for statement in statements for entry in statement.entries for each in ordered_named(entry)]
    async with database.tx(tenant) as tx:
        _check_days(statements, max(await tenant_now(tx), SystemClock().now()).date())
        ordered = await wallets.find_ordered_owners(tx, named)
        for start in range(0, len(candidates), _MAX_ALIASES_A_QUERY):
            known |= await wallets.find_alias_owners(tx, candidates[start : start + _MAX_ALIASES_A_QUERY])
    file = await asyncio.to_thread(_prepared, statements, levels, known)
    subjects = await asyncio.to_thread(_subjects, file, known, ordered)
    sealers = await _sealers(keys, tenant, subjects)
    return await asyncio.to_thread(_sealed, file, subjects, sealers)


async def import_file(
    engine: Engine, database: Database, keys: Keys, tenant: TenantRef, data: bytes, *, caller: Caller, secret: bytes
) -> Answer:
    """Import a file on behalf of somebody who needs no idempotency key: the entries know themselves again.

    Raises:
        FeatureDisabled: The tenant's manifest doesn't turn statements on.
        StatementUnreadable: It isn't a statement file, or a broken one.
        ProblemError: The outcome can't be told now.
    """
    require_feature(tenant)
    file = await prepare_file(database, keys, tenant, data, secret=secret)
    return await engine.submit(tenant, caller, IMPORT_STATEMENTS, file)


async def reverse_import(
    engine: Engine, tenant: TenantRef, import_id: UUID, *, caller: Caller, reason: str | None = None
) -> Answer:
    """Take an import back on behalf of somebody who needs no idempotency key: it is taken back once.

    Raises:
        FeatureDisabled: The tenant's manifest doesn't turn statements on.
        ProblemError: The outcome can't be told now.
    """
    require_feature(tenant)
    return await engine.submit(tenant, caller, REVERSE_IMPORT, ImportReversal(import_id, reason))


def _read(data: bytes, secret: bytes) -> tuple[list[Statement], _Levels, list[wallets.AliasKey]]:
    statements = read_statements(data, dedup_secret=secret)
    for statement in statements:
        if len(statement.bank_account) > _MAX_BANK_ACCOUNT_CHARS:
            raise unreadable(
                statement.opening.line, f"the account's number is longer than {_MAX_BANK_ACCOUNT_CHARS} characters"
            )
        if len(statement.statement_id) > _MAX_STATEMENT_ID_CHARS:
            raise unreadable(
                statement.opening.line, f"the statement's id is longer than {_MAX_STATEMENT_ID_CHARS} characters"
            )
    levels = [[rules.alias_levels(entry) for entry in statement.entries] for statement in statements]
    candidates = dict.fromkeys(
        key for of_statement in levels for of_entry in of_statement for key in rules.alias_candidates(of_entry)
    )
    return statements, levels, list(candidates)


def _check_days(statements: Sequence[Statement], today: date) -> None:
    """Refuse a statement of far ahead: where it leads the books would stay, whatever later ones of nearer days say."""
    for statement in statements:
        if (statement.closing.date - today).days > _MAX_DAYS_AHEAD:
            raise unreadable(
                statement.closing.line, f"the closing balance is of a day more than {_MAX_DAYS_AHEAD} days ahead"
            )


def _prepared(statements: Sequence[Statement], levels: _Levels, known: Collection[wallets.AliasKey]) -> StatementFile:
    return StatementFile(
        format=StatementFormat(statements[0].format),
        statements=tuple(
            PreparedStatement(
                statement,
                tuple(
                    PreparedEntry(entry, _narrowed(of_entry, known), ordered_named(entry))
                    for entry, of_entry in zip(statement.entries, of_statement, strict=True)
                ),
            )
            for statement, of_statement in zip(statements, levels, strict=True)
        ),
        aliases=tuple(known),
    )


def _narrowed(levels: rules.AliasLevels, known: Collection[wallets.AliasKey]) -> rules.AliasLevels:
    """Leave out the names that no wallet has, so that a decision has little to look at."""
    found = [(scheme, [one for one in values if wallets.AliasKey(scheme, one) in known]) for scheme, values in levels]
    return [(scheme, values) for scheme, values in found if values]


async def prepare_assignment(database: Database, keys: Keys, tenant: TenantRef, order: Assignment) -> Assignment:
    """Return an order to assign an entry, with what it says sealed under the key of the party whose it is.

    So it goes with them when they are forgotten, and so does the answer that is kept. What goes to an account of the
    general ledger, and names nobody, is under the tenant's own key: also where it was given to a wrong wallet before.

    Raises:
        KeysUnavailable: It can't be sealed now.
    """
    named = [] if order.wallet_id is None else [order.wallet_id]
    async with database.tx(tenant) as tx:
        row = await queries.find_entry(tx, order.entry_id)
        wallet = next(iter((await wallets.find_wallets(tx, named)).values()), None)
        shown = [] if order.ordered is None else [order.ordered]
        owner = next(iter((await wallets.find_ordered_owners(tx, shown)).values()), None)
    if row is None or row.sealed_texts is None:
        return order
    subject = _goes_to(row, order, owner if wallet is None else wallet.party_id)
    if subject is None:
        return order
    try:
        sealer = await keys.sealer(tenant, subject)
    except errors.SubjectForgotten:
        # Nobody could forget them once more. Their wallets are closed, but what they had ordered may be shown still.
        return msgspec.structs.replace(order, texts_before=row.sealed_texts)
    if key_id_of(row.sealed_texts) == sealer.key_id:
        return order
    opener = await keys.opener(tenant, [row.sealed_texts])
    texts = _open(opener, row.dedup_key, row.sealed_texts)
    sealed = None if texts is None else sealer.seal(_place(row.dedup_key), msgspec.json.encode(texts))
    return msgspec.structs.replace(order, texts_before=row.sealed_texts, texts=sealed)


def _goes_to(row: StatementEntryRow, order: Assignment, party_id: UUID | None) -> UUID | None:
    """Return under whose key an entry's texts are to be; None where they stay as they are."""
    if party_id is not None:
        return party_id
    # What names somebody tells of them, whatever their wallet couldn't bear.
    return TENANT_SUBJECT if order.account_id is not None and row.wallet_id is None else None


# Reading.


async def get_import(tx: TenantTx, import_id: UUID) -> StatementImport:
    """Return what an import did.

    Raises:
        NotFound: There is none.
    """
    found = await queries.find_import(tx, import_id)
    if found is None:
        detail = "There is no such statement import."
        raise errors.NotFound(detail)
    return found.to_response((await queries.list_statements(tx, [import_id]))[import_id])


async def sums_of_import(tx: TenantTx, import_id: UUID) -> dict[str, int]:
    """Return how much an import has moved in all, in either direction, by currency; nothing where there is none."""
    return await queries.sums_of_import(tx, import_id)


async def list_imports(tx: TenantTx, *, limit: int, before: UUID | None) -> list[StatementImport]:
    """Return imports with their statements, newest first."""
    found = await queries.list_imports(tx, limit=limit, before=before)
    statements = await queries.list_statements(tx, [one.id for one in found])
    return [one.to_response(statements[one.id]) for one in found]


async def get_entry(tx: TenantTx, entry_id: UUID) -> StatementEntryRow:
    """Return a statement entry as it lies; ``open_entries`` opens it.

    Raises:
        NotFound: There is none.
    """
    found = await queries.find_entry(tx, entry_id)
    if found is None:
        detail = "There is no such statement entry."
        raise errors.NotFound(detail)
    return found


async def list_entries(
    tx: TenantTx, *, limit: int, before: UUID | None, import_id: UUID | None, outcome: EntryOutcome | None
) -> list[StatementEntryRow]:
    """Return statement entries as they lie, newest first."""
    return await queries.list_entries(tx, limit=limit, before=before, import_id=import_id, outcome=outcome)


async def count_waiting(tx: TenantTx, wallet_ids: Sequence[UUID]) -> int:
    """Return of how many entries that name some wallets the money waits in suspense until staff says whose it is."""
    return await queries.count_waiting(tx, wallet_ids)


# What entries say of people.


def _subjects(
    file: StatementFile, owners: Mapping[wallets.AliasKey, UUID], ordered: Mapping[tuple[str, UUID], UUID]
) -> list[list[UUID]]:
    """Return under whose keys each statement's entries are sealed: of the party that one names, else the tenant's."""
    return [[_subject(one, owners, ordered) for one in statement.entries] for statement in file.statements]


def _subject(
    one: PreparedEntry, owners: Mapping[wallets.AliasKey, UUID], ordered: Mapping[tuple[str, UUID], UUID]
) -> UUID:
    if one.ordered:
        return ordered.get(one.ordered[0], TENANT_SUBJECT) if len(one.ordered) == 1 else TENANT_SUBJECT
    match = rules.match_levels(one.levels, owners)
    return TENANT_SUBJECT if isinstance(match, rules.Unmatched) else match.wallet_id


async def _sealers(keys: Keys, tenant: TenantRef, subjects: Sequence[Sequence[UUID]]) -> Mapping[UUID, Sealer]:
    times = Counter(each for of_statement in subjects for each in of_statement)
    own = await keys.sealer(tenant, TENANT_SUBJECT, seals=sum(times.values()))
    parties = [each for each in times if each != TENANT_SUBJECT]
    while True:
        try:
            sealers = await keys.sealers(tenant, parties, seals=max((times[each] for each in parties), default=1))
        except errors.SubjectForgotten as error:
            # Whoever is forgotten has no names any more by which entries find them; what they had ordered has its own.
            parties.remove(UUID(str(error.facts["subject_id"])))
        else:
            return {TENANT_SUBJECT: own, **sealers}


def _sealed(file: StatementFile, subjects: Sequence[Sequence[UUID]], sealers: Mapping[UUID, Sealer]) -> StatementFile:
    statements = []
    for statement, owners in zip(file.statements, subjects, strict=True):
        entries = [
            msgspec.structs.replace(one, sealed_texts=_seal(sealers, owner, one))
            for one, owner in zip(statement.entries, owners, strict=True)
        ]
        statements.append(msgspec.structs.replace(statement, entries=tuple(entries)))
    return msgspec.structs.replace(file, statements=tuple(statements))


def _seal(sealers: Mapping[UUID, Sealer], owner: UUID, prepared: PreparedEntry) -> bytes | None:
    """Seal what an entry says; nothing is kept of one that shows what somebody ordered who is forgotten."""
    if prepared.ordered and owner not in sealers:
        return None
    entry = prepared.entry
    texts = Texts(
        counterparty_name=entry.counterparty_name,
        counterparty_iban=entry.counterparty_iban,
        references=entry.references,
        remittance=entry.remittance,
    )
    return sealers.get(owner, sealers[TENANT_SUBJECT]).seal(_place(prepared.dedup_key), msgspec.json.encode(texts))


def _place(dedup_key: bytes) -> Place:
    # An entry's id is made when the import is decided; by its key it is known before.
    return Place("statement_entries", dedup_key.hex(), "sealed_texts")


def _open(opener: Opener, dedup_key: bytes, sealed: bytes | None) -> Texts | None:
    if sealed is None:
        return None
    try:
        return msgspec.json.decode(opener.open(_place(dedup_key), sealed), type=Texts)
    except errors.SubjectForgotten:
        return None


async def open_entries(keys: Keys, tenant: TenantRef, rows: Sequence[StatementEntryRow]) -> list[StatementEntry]:
    """Return entries as the API shows them, by one query for the keys of all of them, outside of any transaction.

    Raises:
        KeysUnavailable: They can't be opened now.
    """
    opener = await keys.opener(tenant, [row.sealed_texts for row in rows if row.sealed_texts is not None])
    return [row.to_response(_open(opener, row.dedup_key, row.sealed_texts)) for row in rows]


async def open_answer(keys: Keys, tenant: TenantRef, body: bytes) -> StatementEntry:
    """Return the entry that the command to assign it has answered, now or before.

    Raises:
        KeysUnavailable: It can't be opened now.
    """
    answer = msgspec.json.decode(body, type=SealedEntry)
    sealed = answer.sealed_texts
    opener = await keys.opener(tenant, [] if sealed is None else [sealed])
    texts = _open(opener, answer.dedup_key, sealed) or Texts()
    return msgspec.structs.replace(
        answer.entry,
        counterparty_name=texts.counterparty_name,
        counterparty_iban=texts.counterparty_iban,
        references=list(texts.references),
        remittance=texts.remittance,
    )
