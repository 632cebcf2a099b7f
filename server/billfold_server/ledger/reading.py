"""What a row has to hold so that it can be told as a record: in each column a value, and one of the record's own type.

The tables refuse anything else, as long as their constraints are there. Whoever owns them can take these away, so what
is read is looked at again: a value that is missing may stand for another one where records are compared, and one of
another type ends in an error that names no row.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import UnionType
from typing import Any, Final, NamedTuple, TypeAlias, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import asyncpg
import msgspec

from billfold.chain.records import PostingOfEntry, PostingRecord

__all__ = [
    "BALANCE",
    "BESIDE_MAY_BE_NULL",
    "POSTING",
    "Column",
    "UnreadableError",
    "check_row",
    "shape_of",
]


class UnreadableError(Exception):
    """A row holds a value that no command can have written, such as a time before our era.

    Attributes:
        record: What kind of record it is.
        id: Its id, or the key that stands for one; absent where that isn't known.
    """

    def __init__(self, record: str, id_: str | None) -> None:
        super().__init__(f"{record}{'' if id_ is None else f' {id_}'} holds a value that can't be read")
        self.record = record
        self.id = id_


class Column(NamedTuple):
    """What a column may hold.

    Attributes:
        name: Its name.
        types: The types of its values; ``NoneType`` is one of them where it may be NULL.
        holds: What must hold of a value besides, where anything must.
    """

    name: str
    types: tuple[type, ...]
    holds: Callable[[Any], bool] | None = None


Shape: TypeAlias = tuple[Column, ...]

_NO_COLUMNS: Final = frozenset({"format", "tenant", "postings", "balances"})
"""Members that are made of something else than the record's own row."""
_AS_TEXT: Final = "metadata"
"""What the driver gives as the text that it is in JSON."""
_KEYS: Final = {"head": 0, "posting": 2, "hold_movement": 2, "idempotency_key": 2}
"""How many columns name a record, where it isn't the first alone."""


def shape_of(record_type: type[msgspec.Struct]) -> Shape:
    """Return what the columns of a record may hold, which is what its members may be."""
    hints = get_type_hints(record_type)
    names = (name for name in record_type.__struct_fields__ if name not in _NO_COLUMNS)
    return tuple(_column(name, hints[name]) for name in names)


def _column(name: str, hint: Any) -> Column:
    if name == _AS_TEXT:
        return Column(name, (str,))
    kinds = get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,)
    types = tuple(get_origin(kind) or kind for kind in kinds)
    if datetime in types:
        return Column(name, types, _has_zone)
    items = next((get_args(kind) for kind in kinds if get_origin(kind) is list), None)
    return Column(name, types, None if items is None else partial(_are_all, items))


def _has_zone(time: datetime | None) -> bool:
    """Tell a time from PostgreSQL's infinity, which the driver gives as one without a zone."""
    return time is None or time.tzinfo is not None


def _are_all(types: tuple[type, ...], values: Sequence[object] | None) -> bool:
    return all(isinstance(value, types) for value in values or ())


_LINE: Final = {column.name: column for column in shape_of(PostingOfEntry)}
POSTING: Final[Shape] = (
    *shape_of(PostingRecord),
    _LINE["posted_after_minor"],
    # Absent from a record it is the entry's, absent from its row it is no time at all.
    Column("effective_at", (datetime,), _has_zone),
    _LINE["late_class"],
)
"""What the columns of a posting may hold."""
BALANCE: Final[Shape] = (Column("account_id", (UUID,)), Column("posted_minor", (int,)))
"""What those of a balance may hold that a checkpoint has sealed."""

_ENDS: Final = ("statement_key", "opening_date", "closing_date", "opening_minor", "reached_minor")
BESIDE_MAY_BE_NULL: Final[Mapping[str, frozenset[str]]] = {
    "bank_accounts": frozenset(
        {f"{place}_{name}" for place in ("first", "last") for name in _ENDS} | {"break_at"},
    ),
    "statement_imports": frozenset({"reversed_at"}),
    "statements": frozenset(
        {"opening_minor", "closing_minor", "reached_minor", "difference_minor", "opening_entry_id", "break_entry_id"}
    ),
    "statement_entries": frozenset(
        {
            "value_date",
            "bank_transaction_code",
            "reason",
            "matched_by",
            "wallet_id",
            "account_id",
            "withdrawal_id",
            "top_up_id",
            "duplicate_of",
            "movement_id",
            "journal_entry_id",
            "assigning_journal_entry_id",
            "effective_at",
        }
    ),
    "payments": frozenset(
        {"consent_id", "to_wallet_id", "rail", "rail_reference", "reason", "needs", "closing_entry_id"}
    ),
    "payment_steps": frozenset({"notice_id", "reason", "said_at"}),
    "payment_returns": frozenset(),
    "withdrawals_shown": frozenset(),
    "top_ups_shown": frozenset(),
}
"""By table of another room that goes with the ledger, the columns that may be NULL."""


def check_row(record: str, row: asyncpg.Record, shape: Shape, key: str | None = None) -> None:
    """See that a row can be told as a record.

    Args:
        record: What kind of record it is.
        row: The row.
        shape: What its columns may hold.
        key: What names it, where its first columns don't.

    Raises:
        UnreadableError: One of its values is missing, or none that its column can have had.
    """
    for name, types, holds in shape:
        value = row[name]
        if not isinstance(value, types) or (holds is not None and not holds(value)):
            raise UnreadableError(record, key or _key(record, list(row.values())))


def _key(record: str, values: Sequence[object]) -> str | None:
    parts = values[: _KEYS.get(record, 1)]
    return None if None in parts or not parts else "/".join(map(str, parts))
