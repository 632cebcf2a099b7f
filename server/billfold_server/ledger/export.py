"""A tenant's ledger read from end to end, as of one moment: what export and verification look at.

The records and their order are those of ``billfold.chain.records``. Entries are read in windows of a thousand along
their ids, and whatever hangs on them (postings, transfers, reversals) by the same windows, so that what hangs on no
entry shows at the place where its entry should be. Memory doesn't grow with the ledger.
"""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar, get_args
from uuid import UUID

import asyncpg
import msgspec

from billfold import chain, ids
from billfold.chain import Head, Verification
from billfold.chain.beside import KEYS
from billfold.chain.lines import name_of
from billfold.chain.records import (
    FORMAT,
    AccountRecord,
    AccountTermsRecord,
    AliasRecord,
    CheckpointRecord,
    EndRecord,
    EraRecord,
    HeadRecord,
    HoldRecord,
    HoldTermsRecord,
    IdempotencyKeyRecord,
    JournalEntryRecord,
    LinkRecord,
    MovementRecord,
    PartyRecord,
    PostingOfEntry,
    PostingRecord,
    Record,
    ReversalRecord,
    RowRecord,
    TransferRecord,
    WalletRecord,
    WalletTermsRecord,
    encode_record,
)
from billfold_server.ledger.reading import BALANCE, BESIDE_MAY_BE_NULL, POSTING, UnreadableError, check_row, shape_of
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import Database, TenantTx

__all__ = [
    "BESIDE",
    "LOCK_ENTRIES",
    "LOCK_TIMEOUT_MS",
    "STATEMENT_TIMEOUT_MS",
    "UnreadableError",
    "columns_of",
    "count_sealed",
    "export_ledger",
    "read_entries",
    "read_ledger",
    "verify_ledger",
]

T = TypeVar("T")
R = TypeVar("R", bound=msgspec.Struct)

STATEMENT_TIMEOUT_MS: Final = 3_600_000
LOCK_TIMEOUT_MS: Final = 30_000
"""Whoever detaches a month holds its tables for some seconds at most."""
LOCK_ENTRIES: Final = "LOCK TABLE postings, journal_entries IN ACCESS SHARE MODE"
"""Keeps months from being detached, in the order in which they would be."""
_WINDOW: Final = 1000
_FIRST: Final = UUID(int=0)
_LAST: Final = UUID(int=2**128 - 1)
_END_OF_TIME: Final = datetime.max.replace(tzinfo=UTC)
_FIRST_STEP: Final = 0

BESIDE: Final = {
    "bank_accounts": (
        'bank_account COLLATE "C", currency COLLATE "C"',
        (
            "bank_account, currency, cash_account_id, first_statement_key, first_opening_date, first_closing_date, "
            "first_opening_minor, first_reached_minor, last_statement_key, last_opening_date, last_closing_date, "
            "last_opening_minor, last_reached_minor, break_minor, break_at, created_at, updated_at"
        ),
    ),
    "statement_imports": ("id", "id, format, created_at, reversed_at"),
    "statements": (
        "id",
        (
            "id, statement_import_id, position, bank_account, statement_key, currency, cash_account_id, opening_date, "
            "closing_date, opening_minor, closing_minor, reached_minor, entries, topped_up, withdrawn, suspense, "
            "matched, duplicates, not_booked, difference_minor, cash_before_minor, cash_after_minor, break_minor, "
            "verdict, opening_entry_id, break_entry_id"
        ),
    ),
    "statement_entries": (
        "id",
        (
            "id, statement_import_id, statement_id, position, bank_account, dedup_key, booking_date, value_date, "
            "amount_minor, currency, status, bank_transaction_code, "
            "outcome, reason, matched_by, wallet_id, account_id, withdrawal_id, top_up_id, duplicate_of, "
            "movement_id, journal_entry_id, assigning_journal_entry_id, effective_at, booked_ahead, created_at, "
            "taken_back"
        ),
    ),
    "payments": (
        "id",
        (
            "id, kind, consent_id, client_id, party_id, wallet_id, to_wallet_id, rail, rail_reference, amount_minor, "
            "currency, status, reason, needs, money, journal_entry_id, closing_entry_id, returned_minor, "
            "steps, turn, silences, notices, created_at, updated_at"
        ),
    ),
    "payment_steps": (
        "payment_id, number",
        "payment_id, number, notice_id, word, effect, status, reason, said_at, recorded_at",
    ),
    "payment_returns": ("journal_entry_id", "journal_entry_id, payment_id, amount_minor"),
    "withdrawals_shown": ("withdrawal_id", "withdrawal_id, amount_minor, out_minor, back_minor"),
    "top_ups_shown": ("top_up_id", "top_up_id, amount_minor, in_minor, back_minor"),
}
"""Tables of other rooms that go with the ledger, by name and in order: their key, and their columns."""


_FROM, _TO = "0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00"
_TIMES: Final = {
    "party": ("parties", "id", ("forgotten_at", "created_at", "updated_at")),
    "wallet": ("wallets", "id", ("created_at", "updated_at")),
    "alias": ("wallet_aliases", "id", ("created_at",)),
    "account": ("accounts", "id", ("created_at", "updated_at")),
    "checkpoint": ("ledger_checkpoints", "number", ("effective_high", "recorded_at")),
    "link": ("ledger_links", "number", ("recorded_at",)),
    "journal_entry": ("journal_entries", "id", ("effective_at", "effective_high", "recorded_at")),
    "posting": ("postings", "entry_id", ("effective_at",)),
    "transfer": ("transfers", "id", ("effective_at", "recorded_at")),
    "hold": ("holds", "id", ("expires_at", "created_at", "updated_at")),
    "hold_movement": ("hold_movements", "hold_id", ("effective_at", "recorded_at")),
    "hold_terms": ("hold_terms", "hold_id", ("expires_at", "recorded_at")),
    "era": ("ledger_eras", "number", ("recorded_at",)),
    "wallet_terms": ("wallet_terms", "wallet_id", ("opened_at", "recorded_at")),
    "account_terms": ("account_terms", "account_id", ("opened_at", "recorded_at")),
    "idempotency_key": ("idempotency_keys", "key", ("created_at",)),
    "head": ("ledger_head", "id", ("recorded_at", "effective_high")),
}
"""By record, where PostgreSQL may hold times that Python has no word for: the table, its key, and the columns."""
_SHAPES: Final = {kind: (str(kind.__struct_config__.tag), shape_of(kind)) for kind in get_args(Record)}
"""By kind of record, its name, and what the columns of its row may hold."""
_read_metadata = msgspec.json.Decoder(dict[str, str]).decode


async def export_ledger(database: Database, tenant: TenantRef) -> AsyncIterator[bytes]:
    """Yield the tenant's ledger line by line, without line ends, all as of one moment."""
    async with database.tx(
        tenant, snapshot=True, lock_timeout_ms=LOCK_TIMEOUT_MS, statement_timeout_ms=STATEMENT_TIMEOUT_MS
    ) as tx:
        async for record in read_ledger(tx):
            yield encode_record(record)


async def count_sealed(tx: TenantTx) -> int:
    """Return how many idempotency keys no export takes along, because their answers are sealed."""
    return int(await tx.fetchval(_SEALED))


async def verify_ledger(database: Database, tenant: TenantRef, *, trusted: Head | None = None) -> Verification:
    """Verify the tenant's ledger as it lies in the database, by the same rules as an export.

    Args:
        database: Where it lies.
        tenant: Whose ledger it is.
        trusted: A head that is known from elsewhere.
    """
    verifier = chain.Verifier(trusted=trusted)
    async with database.tx(
        tenant, snapshot=True, lock_timeout_ms=LOCK_TIMEOUT_MS, statement_timeout_ms=STATEMENT_TIMEOUT_MS
    ) as tx:
        try:
            async for record in read_ledger(tx):
                verifier.take(record)
        except UnreadableError as error:
            verifier.unreadable(error.record, error.id)
    return verifier.finish()


async def read_entries(tx: TenantTx, first: UUID, last: UUID) -> AsyncIterator[Record]:
    """Yield the journal entries between two ids, both included, each after its link, with what hangs on them."""
    reached: datetime | None = None
    async for at, records in _entries(tx, first, last):
        if not isinstance(records[0], JournalEntryRecord):
            continue
        if reached is None or at > reached:
            (row,) = await tx.fetch(
                _select("ledger_links", LinkRecord, "WHERE recorded_at >= $1 ORDER BY recorded_at LIMIT 1"), at
            )
            reached = row["recorded_at"]
            yield _made(LinkRecord, row)
        for record in records:
            yield record


async def read_ledger(tx: TenantTx) -> AsyncIterator[Record]:
    """Yield the records of the tenant's ledger in the order of an export.

    The transaction must see the database as of one moment.

    Raises:
        UnreadableError: A row holds a value that can't be read, so nothing behind it can be, either.
    """
    # Before the transaction's snapshot is taken, so that no month is detached between what it shows and what is there;
    # in the order in which it would be, or the two would wait for each other.
    await tx.execute(LOCK_ENTRIES)
    counts: Counter[str] = Counter()
    for part in (_people(tx), _checkpoints(tx), _timeline(tx), _beside(tx), _keys(tx)):
        while (record := await _next_of(tx, part)) is not None:
            counts[name_of(record)] += 1
            yield record
    yield EndRecord(counts=dict(counts))


async def _next_of(tx: TenantTx, part: AsyncIterator[Record]) -> Record | None:
    try:
        following = await anext(part, None)
    except (OverflowError, ValueError):
        # The driver says of no row that it is the one whose time it can't tell.
        for record, (table, key, columns) in _TIMES.items():
            strange = " OR ".join(f"({column} < '{_FROM}' OR {column} > '{_TO}')" for column in columns)
            query = f"SELECT {key}::text FROM {table} WHERE {strange} ORDER BY {key} LIMIT 1"  # noqa: S608 - constants
            if (found := await tx.fetchval(query)) is not None:
                raise UnreadableError(record, found) from None
        raise
    return following


def columns_of(record_type: type[msgspec.Struct], *without: str) -> tuple[str, ...]:
    """Return the columns that a record is made of, which are its members."""
    return tuple(name for name in record_type.__struct_fields__ if name not in without)


def _select(table: str, record_type: type[msgspec.Struct], rest: str, *without: str) -> str:
    return f"SELECT {', '.join(columns_of(record_type, *without))} FROM {table} {rest}"  # noqa: S608 - constants


def _made(record_type: type[R], row: asyncpg.Record, **further: Any) -> R:
    name, shape = _SHAPES[record_type]
    check_row(name, row, shape)
    facts = dict(row)
    if "metadata" in facts:
        try:
            facts["metadata"] = _read_metadata(facts["metadata"])
        except (msgspec.MsgspecError, RecursionError):
            raise UnreadableError(name, str(row[0])) from None
    return record_type(**facts, **further)


async def _rows(tx: TenantTx, query: str) -> AsyncIterator[list[asyncpg.Record]]:
    cursor = await tx.connection.cursor(query)
    while rows := await cursor.fetch(_WINDOW):
        yield rows


# Whom the books are about.


async def _people(tx: TenantTx) -> AsyncIterator[Record]:
    rows = await tx.fetch(_select("ledger_head", HeadRecord, "WHERE id = 1", "format", "tenant"))
    if len(rows) != 1:
        raise UnreadableError("head", None)
    yield _made(HeadRecord, rows[0], format=FORMAT, tenant=tx.tenant.slug)
    tables: tuple[tuple[str, Any], ...] = (
        ("parties", PartyRecord),
        ("wallets", WalletRecord),
        ("wallet_aliases", AliasRecord),
        ("accounts", AccountRecord),
    )
    for table, record_type in tables:
        async for rows in _rows(tx, _select(table, record_type, "ORDER BY id")):
            for row in rows:
                yield _made(record_type, row)


async def _checkpoints(tx: TenantTx) -> AsyncIterator[Record]:
    rows = await tx.fetch(_select("ledger_checkpoints", CheckpointRecord, "ORDER BY number", "balances"))
    for place, row in enumerate(rows, 1):
        balances: list[tuple[UUID, int]] = []
        if place == len(rows):
            found = await tx.fetch("SELECT account_id, posted_minor FROM checkpoint_balances ORDER BY account_id")
            for each in found:
                check_row("checkpoint", each, BALANCE, str(row["number"]))
            balances = [(each["account_id"], each["posted_minor"]) for each in found]
        yield _made(CheckpointRecord, row, balances=balances)


# The timeline.


class _Ahead(Generic[T]):
    """An asynchronous iterator that can be looked into one step ahead."""

    def __init__(self, source: AsyncIterator[T]) -> None:
        self._source = source
        self._next: T | None = None
        self._ended = False

    async def peek(self) -> T | None:
        """Return what comes next, or None at the end."""
        if self._next is None and not self._ended:
            self._next = await anext(self._source, None)
            self._ended = self._next is None
        return self._next

    async def pop(self) -> None:
        """Go on."""
        await self.peek()
        self._next = None


_Placed = tuple[datetime, Sequence[Record]]
"""Records that belong together, and the instant that puts them in order."""


async def _timeline(tx: TenantTx) -> AsyncIterator[Record]:
    """Yield each link, and after it the records that are recorded by then."""
    links = _Ahead(_links(tx))
    reached: datetime | None = None
    async for at, records in _merged(*map(_Ahead, (_entries(tx), _movements(tx), _terms(tx)))):
        while (reached is None or at > reached) and (link := await links.peek()) is not None:
            reached = link.recorded_at
            yield link
            await links.pop()
        for record in records:
            yield record
    while (link := await links.peek()) is not None:
        yield link
        await links.pop()
    async for hold in _strange_holds(tx):
        yield hold
    if (name := await tx.fetchval(_NAMELESS)) is not None:
        raise UnreadableError(name, None)


async def _merged(*sources: _Ahead[_Placed]) -> AsyncIterator[_Placed]:
    while True:
        heads = [(head[0], place) for place, source in enumerate(sources) if (head := await source.peek()) is not None]
        if not heads:
            return
        source = sources[min(heads)[1]]
        placed = await source.peek()
        assert placed is not None
        yield placed
        await source.pop()


async def _links(tx: TenantTx) -> AsyncIterator[LinkRecord]:
    async for rows in _rows(tx, _select("ledger_links", LinkRecord, "ORDER BY number")):
        for row in rows:
            yield _made(LinkRecord, row)


def _instant_of(entry_id: UUID) -> datetime:
    """Return when an id was made; one that isn't made of a time belongs at the end."""
    try:
        return ids.instant_of(entry_id)
    except OverflowError:
        return _END_OF_TIME


async def _entries(tx: TenantTx, first: UUID = _FIRST, end: UUID = _LAST) -> AsyncIterator[_Placed]:
    query = _select(
        "journal_entries", JournalEntryRecord, f"WHERE id >= $1 AND id <= $2 ORDER BY id LIMIT {_WINDOW}", "postings"
    )
    going = True
    while going:
        heads = await tx.fetch(query, first, end)
        going = len(heads) == _WINDOW
        last = heads[-1]["id"] if going else end
        for placed in _assembled(heads, *[await tx.fetch(query_, first, last) for query_ in _HANGING]):
            yield placed
        first = UUID(int=min(last.int + 1, _LAST.int))


_HANGING: Final = (
    """
    SELECT entry_id, line, account_id, amount_minor, currency, posted_after_minor, effective_at, late_class
    FROM postings WHERE entry_id >= $1 AND entry_id <= $2 ORDER BY entry_id, line
    """,
    _select("transfers", TransferRecord, "WHERE id >= $1 AND id <= $2 ORDER BY id, kind"),
    _select(
        "reversals", ReversalRecord, "WHERE journal_entry_id >= $1 AND journal_entry_id <= $2 ORDER BY journal_entry_id"
    ),
)


_NAMELESS: Final = " UNION ALL ".join(
    f"SELECT '{name}' AS name WHERE EXISTS (SELECT FROM {table} WHERE {key} IS NULL)"  # noqa: S608 - constants
    for name, table, key in (
        ("journal_entry", "journal_entries", "id"),
        ("posting", "postings", "entry_id"),
        ("transfer", "transfers", "id"),
        ("reversal", "reversals", "journal_entry_id"),
    )
)
"""What lies in no window, since it has no id."""


def _assembled(
    heads: Sequence[asyncpg.Record],
    postings: Sequence[asyncpg.Record],
    transfers: Sequence[asyncpg.Record],
    reversals: Sequence[asyncpg.Record],
) -> list[_Placed]:
    """Put together what hangs on the same entry, also where there is none."""
    for row in postings:
        check_row("posting", row, POSTING)
    lines = _by(postings, "entry_id")
    entries = {head["id"]: _entry(head, lines.get(head["id"], ())) for head in heads}
    further: defaultdict[UUID, list[Record]] = defaultdict(list)
    for entry_id, stray in lines.items():
        if entry_id not in entries:
            further[entry_id] += [_stray(row) for row in stray]
    for row in transfers:
        further[row["id"]].append(_made(TransferRecord, row))
    for row in reversals:
        further[row["journal_entry_id"]].append(_made(ReversalRecord, row))
    placed: list[_Placed] = []
    for entry_id in sorted(entries.keys() | further.keys()):
        entry = entries.get(entry_id)
        placed.append((_instant_of(entry_id), [*([] if entry is None else [entry]), *further.get(entry_id, ())]))
    return placed


def _by(rows: Sequence[asyncpg.Record], column: str) -> dict[UUID, list[asyncpg.Record]]:
    grouped: dict[UUID, list[asyncpg.Record]] = {}
    for row in rows:
        grouped.setdefault(row[column], []).append(row)
    return grouped


def _entry(head: asyncpg.Record, lines: Sequence[asyncpg.Record]) -> JournalEntryRecord:
    postings = [
        PostingOfEntry(
            line=row["line"],
            account_id=row["account_id"],
            amount_minor=row["amount_minor"],
            currency=row["currency"],
            posted_after_minor=row["posted_after_minor"],
            effective_at=None if row["effective_at"] == head["effective_at"] else row["effective_at"],
            late_class=row["late_class"],
        )
        for row in lines
    ]
    return _made(JournalEntryRecord, head, postings=postings)


def _stray(row: asyncpg.Record) -> PostingRecord:
    return PostingRecord(**{name: row[name] for name in columns_of(PostingRecord)})


async def _movements(tx: TenantTx) -> AsyncIterator[_Placed]:
    async for rows in _rows(tx, _select("hold_movements", MovementRecord, "ORDER BY recorded_at")):
        opened = [row["hold_id"] for row in rows if row["step"] == _FIRST_STEP]
        holds = {
            row["id"]: _made(HoldRecord, row)
            for row in await tx.fetch(_select("holds", HoldRecord, "WHERE id = ANY($1::uuid[])"), opened)
        }
        for row in rows:
            before = [holds[row["hold_id"]]] if row["step"] == _FIRST_STEP and row["hold_id"] in holds else []
            yield row["recorded_at"], [*before, _made(MovementRecord, row)]


_TERMS: Final = (
    ("hold_terms", HoldTermsRecord),
    ("ledger_eras", EraRecord),
    ("wallet_terms", WalletTermsRecord),
    ("account_terms", AccountTermsRecord),
)


async def _terms(tx: TenantTx) -> AsyncIterator[_Placed]:
    """Yield whose wallets and accounts are, what holds were placed as, and the eras of the ledger."""
    async for placed in _merged(*(_Ahead(_recorded(tx, table, record_type)) for table, record_type in _TERMS)):
        yield placed


async def _recorded(tx: TenantTx, table: str, record_type: Any) -> AsyncIterator[_Placed]:
    async for rows in _rows(tx, _select(table, record_type, "ORDER BY recorded_at")):
        for row in rows:
            yield row["recorded_at"], [_made(record_type, row)]


async def _strange_holds(tx: TenantTx) -> AsyncIterator[Record]:
    """Yield the holds that have no first movement."""
    without = f"""
        AS h WHERE NOT EXISTS (SELECT FROM hold_movements AS m WHERE m.hold_id = h.id AND m.step = {_FIRST_STEP})
        ORDER BY h.id
    """
    async for rows in _rows(tx, _select("holds", HoldRecord, without)):
        for row in rows:
            yield _made(HoldRecord, row)


# What goes with it.


async def _beside(tx: TenantTx) -> AsyncIterator[Record]:
    for table, (key, columns) in BESIDE.items():
        query = f"SELECT to_jsonb(t)::text AS columns FROM (SELECT {columns} FROM {table}) AS t ORDER BY {key}"  # noqa: S608 - constants
        async for rows in _rows(tx, query):
            for row in rows:
                yield RowRecord(table=table, columns=_columns(table, row["columns"]))


def _columns(table: str, text: str) -> dict[str, Any]:
    try:
        columns: dict[str, Any] = msgspec.json.decode(text)
    except RecursionError:
        raise UnreadableError("row", table) from None
    if any(value is None and name not in BESIDE_MAY_BE_NULL[table] for name, value in columns.items()):
        raise UnreadableError("row", "/".join([table, *(str(columns[name]) for name in KEYS[table])]))
    return columns


_SEALED: Final = "SELECT count(*) FROM idempotency_keys WHERE substring(body FROM 1 FOR 1) = '\\x01'::bytea"
_LEGIBLE: Final = "WHERE substring(body FROM 1 FOR 1) IS DISTINCT FROM '\\x01'::bytea"
"""Not those answers that are sealed, which nobody could open elsewhere; none of them has moved money."""


async def _keys(tx: TenantTx) -> AsyncIterator[Record]:
    of_keys = f"{_LEGIBLE} ORDER BY client_id, key"
    async for rows in _rows(tx, _select("idempotency_keys", IdempotencyKeyRecord, of_keys)):
        for row in rows:
            yield _made(IdempotencyKeyRecord, row)
