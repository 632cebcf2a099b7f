"""Sets of rows, as one statement writes them.

A batch writes to many tables. Sent one by one, each statement would cost a round trip; here they travel as one, whose
parts PostgreSQL runs against the same snapshot (data-modifying ``WITH``, PostgreSQL 7.8.4). No part sees what another
has written, and their order is open, so none may build on another but by what that one returns under its name.

A column travels as the text of an array (PostgreSQL 8.15.2), or as one text of which each row takes its own piece:
either costs a fraction of what the driver's binary encoding of each element does. A column in which all rows have the
same travels as that one value, and most columns of most batches are of this kind.
"""

import itertools
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec
from asyncpg.pgproto import pgproto

__all__ = [
    "PIECES",
    "PLANS",
    "Columns",
    "Write",
    "as_read",
    "call",
    "documents",
    "end_with",
    "instants",
    "integers",
    "joined",
    "narrowed",
    "octets",
    "pieces",
    "texts",
    "uuids",
    "write_all",
]


class Write(msgspec.Struct, frozen=True):
    """One statement that writes a set of rows, its parameters numbered from ``$1``.

    Attributes:
        sql: ``INSERT … SELECT … FROM unnest(…)`` or the like. It comes from the code alone, and there are few of them.
        arguments: Its parameters.
        name: By which another write of the same statement reads what this one returns.
    """

    sql: str
    arguments: tuple[Any, ...]
    name: str | None = None


class Tx(Protocol):
    """An open transaction."""

    async def fetch(self, sql: str, *arguments: Any) -> Any:
        """Run a statement."""
        ...


async def write_all(tx: Tx, writes: Sequence[Write]) -> None:
    """Run all writes in one round trip; all succeed or all fail."""
    if writes:
        arguments = [argument for write in writes for argument in write.arguments]
        await tx.fetch(joined(writes), *arguments)


def joined(writes: Sequence[Write], guard: Write | None = None) -> str:
    """Return one statement that runs all writes, its parameters those of the writes in order.

    Args:
        writes: What it writes.
        guard: A query that runs first, and stops all by an error of its own; its parameters come last.
    """
    parts = tuple((write.name, write.sql, len(write.arguments)) for write in writes)
    return _joined(parts, "SELECT 1" if guard is None else guard.sql)


def call(name: str, writes: Sequence[Write]) -> str:
    """Return the text that runs all writes, as a statement of that name has been prepared for them.

    It needs no parameters, so it can travel with other statements. Texts stand between tags that nobody can guess
    (PostgreSQL 4.1.2.4), so no setting changes where they end, and nothing in them has to be escaped.

    Raises:
        ValueError: A text holds what none may.
    """
    tag = f"$t{secrets.token_hex(8)}$"
    values, tagged = [], 0
    for write in writes:
        for argument in write.arguments:
            # Columns in which all have the same are empty, and need no tags; what all have is absent in the others.
            if argument is None:
                values.append("NULL")
            elif argument == "{}":
                values.append("'{}'")
            elif type(argument) is int:
                values.append(str(argument))
            else:
                values.append(f"{tag}{argument if type(argument) is str else _spelled(argument)}{tag}")
                tagged += 1
    text = f"EXECUTE {name}({', '.join(values)})"
    if "\0" in text or text.count(tag) != 2 * tagged:
        msg = "a text holds what none may"
        raise ValueError(msg)
    return text


def narrowed(query: Write, conditions: Sequence[Write]) -> Write:
    """Return a query that ends with a ``WHERE``, narrowed by further conditions, each with parameters of its own."""
    sql, arguments = query.sql, query.arguments
    for each in conditions:
        sql = f"{sql} AND ({_moved(each.sql, len(arguments))})"
        arguments += each.arguments
    return Write(sql, arguments, query.name)


class EndingTx(Protocol):
    """An open transaction that can end with a statement."""

    def statement(self, sql: str) -> tuple[str, str]:
        """Return the name of a statement, and what has to go before it."""
        ...

    def end_with(self, sql: str) -> None:
        """Let a text travel with COMMIT."""
        ...


def end_with(tx: EndingTx, writes: Sequence[Write], guard: Write | None = None) -> None:
    """Let all writes travel with COMMIT, so that what they lock is held for no round trip; their answers are unseen.

    Args:
        tx: The transaction, which ends after this.
        writes: What it writes; their parameters are texts, numbers, bytes, ids and instants.
        guard: See ``joined``. It raises where nothing may be committed.
    """
    if writes:
        name, first = tx.statement(joined(writes, guard))
        tx.end_with(first + call(name, writes if guard is None else [*writes, guard]))


def _spelled(value: Any) -> str:
    if type(value) is bytes:
        return f"\\x{value.hex()}"
    return value.isoformat() if isinstance(value, datetime) else str(value)


_PARAMETER = re.compile(r"\$(\d+)")


@lru_cache(maxsize=1024)
def _joined(parts: tuple[tuple[str | None, str, int], ...], guard: str) -> str:
    """Return one statement made of several, with their parameters numbered anew."""
    texts, before = [], 0
    for number, (name, sql, arguments) in enumerate(parts):
        texts.append(f"{name or f'w{number}'} AS ({_moved(sql, before)})")
        before += arguments
    moved = _moved(guard, before)
    return "WITH " + ",\n".join(texts) + "\n" + moved if texts else moved


@lru_cache(maxsize=1024)
def _moved(sql: str, before: int) -> str:
    """Return a statement whose parameters come after as many others."""
    return _PARAMETER.sub(lambda match: f"${int(match[1]) + before}", sql)


def as_read(number: int) -> UUID:
    """Return an id of 128 bits as the driver returns those that it reads: one kind of UUID for both is faster."""
    made: UUID = pgproto.UUID(number.to_bytes(16, "big"))
    return made


def uuids(values: Iterable[UUID | None]) -> str:
    """Return ids for a parameter ``$1::text::uuid[]``."""
    return "{" + ",".join(["NULL" if value is None else value.hex for value in values]) + "}"


def integers(values: Iterable[int | None]) -> str:
    """Return whole numbers for a parameter ``$1::text::bigint[]``."""
    return _as_json(values)


def instants(values: Iterable[datetime | None]) -> str:
    """Return instants for a parameter ``$1::text::timestamptz[]``."""
    return _as_json(values)


def _as_json(values: Iterable[int | datetime | None]) -> str:
    """Return a list of JSON as an array: of numbers, instants and nulls the two differ in their brackets alone."""
    return f"{{{_encode(list(values))[1:-1].decode()}}}"


_encode = msgspec.json.Encoder().encode


def texts(values: Iterable[str | None]) -> str:
    """Return texts for a parameter ``$1::text::text[]``."""
    return "{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}"


def documents(values: Iterable[dict[str, Any]]) -> str:
    """Return JSON objects for a parameter ``$1::text::text[]``, each of which the statement casts to ``jsonb``."""
    return texts(["{}" if not value else msgspec.json.encode(value).decode() for value in values])


def octets(values: Iterable[bytes | None]) -> str:
    """Return bytes for a parameter ``$1::text::bytea[]``."""
    return "{" + ",".join(["NULL" if value is None else f'"\\\\x{value.hex()}"' for value in values]) + "}"


def pieces(values: Sequence[bytes | None]) -> tuple[str, str, str]:
    """Return texts in UTF-8 as one, with the place of each and its length in bytes; what is absent has no length.

    They are for three parameters: ``$1::text``, and two to be unnested, ``$2::text::int[]`` and ``$3::text::int[]``.
    """
    there = [value for value in values if value is not None]
    if not there:
        return "", "{}", "{}"
    ends = itertools.accumulate([0 if value is None else len(value) for value in values], initial=1)
    lengths = integers([None if value is None else len(value) for value in values])
    return b"".join(there).decode(), integers(itertools.islice(ends, len(values))), lengths


_ARRAYS: Final[Mapping[str, Callable[[Sequence[Any]], str]]] = {
    "bigint": integers,
    "bytea": octets,
    "integer": integers,
    "jsonb": documents,
    "smallint": integers,
    "text": texts,
    "timestamptz": instants,
    "uuid": uuids,
}
PLANS: Final = (
    "SET LOCAL plan_cache_mode TO force_generic_plan; SET LOCAL enable_hashjoin TO off; "
    "SET LOCAL enable_mergejoin TO off; SET LOCAL enable_seqscan TO off; "
)
"""How statements are planned that look their rows up by key, and few of many; it travels with BEGIN.

A plan of its own for each call costs more than the call. A plan that reads a whole table instead is made while the
table is small, and kept when it has grown.
"""

PIECES: Final = "pieces"
"""The type of a column whose values are long: UTF-8, and read as ``bytea``."""


class Columns:
    """The columns in which a set of rows travels, and the SQL that reads them as ``n``.

    The first column always travels whole, for by it the rows are counted.

    Attributes:
        names: The columns' names, as a list.
        values: Their values in a row, as a list in the same order.
        value: The same, by name.
        rows: What to select from.
        numbered: The same, where each row also knows its ``place``, from 1.

    Args:
        types: The columns' types by name: those of PostgreSQL, or ``PIECES``.
    """

    def __init__(self, **types: str) -> None:
        self._types = tuple(types.values())
        self.value: dict[str, str] = {}
        arrays, names = [], []
        number = 0
        for name, kind in types.items():
            if kind == PIECES:
                arrays += [f"${number + 2}::text::int[]", f"${number + 3}::text::int[]"]
                names += [f"{name}_at", f"{name}_size"]
                whole = f"(SELECT convert_to(${number + 1}::text, 'UTF8'))"
                self.value[name] = f"substr({whole}, n.{name}_at, n.{name}_size)"
                number += 3
                continue
            travels = "text" if kind == "jsonb" else kind
            arrays.append(f"${number + 1}::text::{travels}[]")
            names.append(name)
            # Where all have the same the array is empty, so the row's own is null.
            shared = f"coalesce(n.{name}, ${number + 2}::{travels})" if number else f"n.{name}"
            self.value[name] = f"{shared}::jsonb" if kind == "jsonb" else shared
            number += 2 if number else 1
        self.names = ", ".join(types)
        self.values = ", ".join(self.value.values())
        self.rows = f"unnest({', '.join(arrays)}) AS n ({', '.join(names)})"
        self.numbered = f"unnest({', '.join(arrays)}) WITH ORDINALITY AS n ({', '.join(names)}, place)"

    def arguments(self, *columns: list[Any]) -> tuple[Any, ...]:
        """Return the parameters for the values of each column, of at least one row."""
        arguments: list[Any] = []
        for kind, values in zip(self._types, columns, strict=True):
            if kind == PIECES:
                arguments += pieces(values)
            elif not arguments:
                arguments.append(_ARRAYS[kind](values))
            elif (first := values[0]) == values[-1] and values.count(first) == len(values):
                arguments += ("{}", msgspec.json.encode(first).decode() if kind == "jsonb" else first)
            else:
                arguments += (_ARRAYS[kind](values), None)
        return tuple(arguments)


def _quoted(value: str) -> str:
    if "\\" in value or '"' in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'
