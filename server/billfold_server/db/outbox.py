"""The outbox: what happened, written by the transaction in which it happened.

An event is committed with the change that it tells of, or not at all, and so is its place in the tenant's stream. Its
transaction takes the number from a row that it keeps locked until it has committed (ADR 8): so numbers become visible
in their order, and a transaction that rolls back leaves no gap. Events come last in a transaction, which then ends.
"""

import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec
import msgspec.inspect

from billfold import ids
from billfold.contract.common import Response
from billfold.contract.events import EVENTS, EventType
from billfold.contract.platform import Event
from billfold.ids import Prefix
from billfold_server.db.personal import counted
from billfold_server.db.sets import PIECES, Columns, Write, uuids, write_all
from billfold_server.db.wakeups import Work
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "ABANDONED_AFTER",
    "OF_SOMEBODY",
    "NewEvent",
    "ToldEvent",
    "emit",
    "find_events",
    "last_sequence",
    "list_events",
    "new_event",
    "sweep",
    "told_by",
    "without_free_text",
    "writes",
]

D = TypeVar("D", bound=Response)


class NewEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something that happens in a transaction.

    Attributes:
        id: UUIDv7; who receives an event twice knows it by its id.
        type: Object and what happened to it, such as ``party.created``.
        object_id: Wire id of the object.
        data: A JSON object with what others need to know, and no more personal data than that. Absent where the
            object's own row tells it; see ``told_by``.
        occurred_at: When it happened, on the tenant's clock.
    """

    id: UUID
    type: str
    object_id: str
    data: bytes | None
    occurred_at: datetime


def new_event(kind: EventType[D], object_id: str, data: D, occurred_at: datetime) -> NewEvent:
    """Return an event of the contract's registry.

    Args:
        kind: Its type.
        object_id: Wire id of the object.
        data: What the event says of it: no more personal data than others need.
        occurred_at: When it happened, on the tenant's clock.
    """
    assert type(data) is kind.data, "an event says what its type says"
    encoded = msgspec.json.encode(data)
    return NewEvent(id=ids.uuid7(), type=kind.name, object_id=object_id, data=encoded, occurred_at=occurred_at)


class ToldEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What happens to an object once, and is told from its own row (``told_by``).

    Those of one type that follow one another are one row of the outbox, which has no id for each: such an event has its
    object's (ADR 69).

    Attributes:
        type: Object and what happened to it, such as ``transfer.posted``.
        prefix: With what the object's wire id begins.
        object_id: Its id, greater than that of any object that was told of in this way before.
        occurred_at: When it happened, on the tenant's clock.
    """

    type: str
    prefix: Prefix
    object_id: UUID
    occurred_at: datetime


Teller = Callable[[TenantTx, Sequence[str]], Awaitable[Mapping[str, Response]]]
"""Returns what events say of objects that never change, by the objects' wire ids and by one query."""
_tellers: Final[dict[str, Teller]] = {}


def told_by(teller: Teller, *kinds: EventType[Any]) -> None:
    """Let what events of these types say be told from their objects' own rows, for those that were written without.

    Such a row says the same as long as the event is kept, but for free text, which no event has (ADR 51).
    """
    _tellers.update({kind.name: teller for kind in kinds})


_NUMBER = """
UPDATE relay_head SET sequence = sequence + $1::bigint WHERE id = 1 RETURNING sequence - $1::bigint AS before
"""
_EVENTS = Columns(
    place="bigint", id="uuid", type="text", object_id="text", occurred_at="timestamptz", objects="text", data=PIECES
)
_INSERT = f"""
INSERT INTO outbox_events (sequence, id, type, object_id, occurred_at, objects, data)
SELECT numbers.before + n.place, {_EVENTS.value["id"]}, {_EVENTS.value["type"]}, {_EVENTS.value["object_id"]},
    {_EVENTS.value["occurred_at"]}, ({_EVENTS.value["objects"]})::uuid[],
    convert_from({_EVENTS.value["data"]}, 'UTF8')::json
FROM numbers, {_EVENTS.rows}
"""  # noqa: S608 - constants

_RUN_MAX: Final = 100
"""Of how many events a row tells at most: with so many ids it is still stored as one piece."""


class _Run(msgspec.Struct):
    """Events that are one row: that of the last of them, which knows the objects of all if they are several."""

    last: NewEvent | ToldEvent
    place: int
    objects: list[UUID]


def _runs(events: Sequence[NewEvent | ToldEvent]) -> list[_Run]:
    runs: list[_Run] = []
    kind: str | None = None
    room = 0
    for place, event in enumerate(events, start=1):
        if isinstance(event, NewEvent):
            runs.append(_Run(event, place, []))
            kind = None
        elif event.type == kind and room:
            run = runs[-1]
            run.last, run.place = event, place
            run.objects.append(event.object_id)
            room -= 1
        else:
            runs.append(_Run(event, place, [event.object_id]))
            kind, room = event.type, _RUN_MAX - 1
    return runs


def writes(events: Sequence[NewEvent | ToldEvent]) -> list[Write]:
    """Return what writes events and gives them the next numbers."""
    if not events:
        return []
    runs = _runs(events)
    arguments = _EVENTS.arguments(
        [run.place for run in runs],
        [run.last.id if isinstance(run.last, NewEvent) else run.last.object_id for run in runs],
        [run.last.type for run in runs],
        [_wire_id(run.last) for run in runs],
        [run.last.occurred_at for run in runs],
        [uuids(run.objects) if len(run.objects) > 1 else None for run in runs],
        [run.last.data if isinstance(run.last, NewEvent) else None for run in runs],
    )
    return [Write(_NUMBER, (len(events),), name="numbers"), Write(_INSERT, arguments)]


def _wire_id(event: NewEvent | ToldEvent) -> str:
    return event.object_id if isinstance(event, NewEvent) else ids.encode(event.prefix, event.object_id)


async def emit(tx: TenantTx, *events: NewEvent | ToldEvent) -> None:
    """Write events in the transaction of the change that they tell of, with one statement, the last if possible.

    Publishers are told when the transaction has committed.
    """
    if events:
        await write_all(tx, writes(events))
        tx.wake(Work.EVENTS)


OF_SOMEBODY: Final = frozenset(
    {
        "approval",
        "consent",
        "data_keys",
        "event_subscription",
        "partner",
        "partner_sandbox",
        "third_party",
        "user",
        "webhook_endpoint",
    }
)
"""With what types of events begin that are about the bank's own affairs, or about one partner's or third party's."""

_COLUMNS = "id, sequence, type, object_id, objects, data::text AS data, occurred_at"
_READ = "id, sequence, type, object_id, objects, data, occurred_at"


def _page(rows: str) -> str:
    """Return the query of a page: of as many rows as events are asked for, those that are needed for so many.

    Args:
        rows: From which rows, in order of their numbers; ``$1`` is the number that is known already, and ``$2`` how
            many events are asked for.
    """
    return f"""
        SELECT {_READ} FROM (
            SELECT {_READ},
                sum(coalesce(cardinality(objects), 1)) OVER (ORDER BY sequence ROWS UNBOUNDED PRECEDING) AS told
            FROM ({rows} ORDER BY sequence LIMIT $2) AS r
        ) AS r
        WHERE told - coalesce(cardinality(objects), 1) < $2 + {_RUN_MAX - 1} ORDER BY sequence
    """  # noqa: S608 - constants


# A row of several events has the number of the last: it may begin before what is asked for, and end behind it.
_LIST = _page(
    f"SELECT {_COLUMNS} FROM outbox_events WHERE sequence > $1 AND sequence <= $3::bigint + {_RUN_MAX - 1}"  # noqa: S608 - constants
)
_LIST_TYPE = _page(f"SELECT {_COLUMNS} FROM outbox_events WHERE type = $3 AND sequence > $1")  # noqa: S608 - constants
# Each type's next events are read from the index, and no more of them than are asked for: together, types would be
# looked for along the whole stream, or all of their events be sorted. So might one that is rare, if it were said to be
# equal: the index is the only way to what lies between the type and itself in this order.
_EACH_TYPE = f"""
    SELECT next.* FROM unnest($3::text[]) AS wanted (name) CROSS JOIN LATERAL (
        SELECT {_COLUMNS} FROM outbox_events WHERE type >= wanted.name AND type <= wanted.name AND sequence > $1
            AND ({{condition}})
        ORDER BY type, sequence LIMIT $2
    ) AS next
"""  # noqa: S608 - constants
_LIST_EACH_TYPE = _page(_EACH_TYPE.format(condition="TRUE"))
_OF_PARTNER = "split_part(type, '.', 1) <> ALL ($4::text[]) OR object_id = $5 OR data->>'partner_id' = $5"
_LIST_OF_PARTNER = _page(
    f"""
    SELECT {_COLUMNS} FROM outbox_events
    WHERE sequence > $1 AND ({_OF_PARTNER.replace("$4", "$3").replace("$5", "$4")})
    """  # noqa: S608 - constants
)
_LIST_EACH_TYPE_OF_PARTNER = _page(_EACH_TYPE.format(condition=_OF_PARTNER))
_LIST_TYPES = _page(
    f"""
    SELECT {_COLUMNS} FROM outbox_events
    WHERE sequence > $1 AND sequence <= $3::bigint + {_RUN_MAX - 1} AND type = ANY($4::text[])
    """  # noqa: S608 - constants
)
# A row of several objects is found by the last one's id, since these rows follow one another in order of their ids.
_LIST_OF_OBJECT = f"""
SELECT {_READ} FROM (
    (SELECT {_COLUMNS} FROM outbox_events WHERE object_id = $6 AND objects IS NULL AND sequence > $1
        AND ($3::text[] IS NULL OR type = ANY ($3)) AND ($5::text IS NULL OR {_OF_PARTNER})
    ORDER BY sequence LIMIT $2)
    UNION ALL
    SELECT {_READ} FROM (
        SELECT {_COLUMNS} FROM outbox_events WHERE objects IS NOT NULL AND id >= $7::uuid ORDER BY id LIMIT 1
    ) AS run
    WHERE $7 = ANY (objects) AND ($3 IS NULL OR type = ANY ($3))
) AS r
ORDER BY sequence
"""  # noqa: S608 - constants
_LAST = 2**62


async def list_events(
    tx: TenantTx,
    *,
    after: int = 0,
    limit: int = 100,
    event_type: str | None = None,
    each_type: Sequence[str] | None = None,
    up_to: int = _LAST,
    event_types: Sequence[str] | None = None,
    of_partner: str | None = None,
    object_id: str | None = None,
) -> list[Event]:
    """Return the numbered events behind a place in the stream, in order.

    Whoever has seen number ``n`` has been able to see every smaller one, so reading on from the last number seen
    misses nothing.

    Args:
        tx: The tenant's transaction.
        after: The number of the last event that is known already; 0 to begin.
        limit: How many at most.
        event_type: Only events of this type.
        each_type: Only events of these types, each of which stands here once.
        up_to: The number of the last event that is asked for, with ``event_types`` or without any types.
        event_types: Only events of these types.
        of_partner: The wire id of the partner that asks, which hears nothing of others' people and endpoints.
        object_id: Only what has happened to this object, by its wire id.
    """
    types = each_type if event_type is None else [event_type]
    if object_id is not None:
        ours = (types, sorted(OF_SOMEBODY), of_partner, object_id, _id_in(object_id))
        rows = await tx.fetch(_LIST_OF_OBJECT, after, limit, *ours)
    elif of_partner is not None:
        whose = (sorted(OF_SOMEBODY), of_partner)
        if types is None:
            rows = await tx.fetch(_LIST_OF_PARTNER, after, limit, *whose)
        else:
            rows = await tx.fetch(_LIST_EACH_TYPE_OF_PARTNER, after, limit, list(types), *whose)
    elif each_type is not None:
        rows = await tx.fetch(_LIST_EACH_TYPE, after, limit, list(each_type))
    elif event_types is not None:
        rows = await tx.fetch(_LIST_TYPES, after, limit, up_to, list(event_types))
    elif event_type is None:
        rows = await tx.fetch(_LIST, after, limit, up_to)
    else:
        rows = await tx.fetch(_LIST_TYPE, after, limit, event_type)
    within = (one for one in _told(rows) if after < one.sequence <= up_to and object_id in {None, one.object_id})
    return await _events(tx, list(itertools.islice(within, limit)))


def _id_in(wire_id: str) -> UUID | None:
    """Return the id in a wire id of whatever kind, or None where the text is none."""
    try:
        return ids.decode(ids.Prefix(wire_id.partition("_")[0]), wire_id)
    except ValueError:
        return None


_LIST_THESE = f"""
SELECT e.id, wanted.number AS sequence, e.type, e.object_id, e.data, e.occurred_at,
    e.objects[wanted.number - e.sequence + cardinality(e.objects):wanted.number - e.sequence + cardinality(e.objects)]
        AS objects
FROM unnest($1::bigint[]) AS wanted (number) CROSS JOIN LATERAL (
    SELECT {_COLUMNS} FROM outbox_events WHERE sequence >= wanted.number ORDER BY sequence LIMIT 1
) AS e
WHERE e.sequence - coalesce(cardinality(e.objects) - 1, 0) <= wanted.number
"""  # noqa: S608 - constants


async def find_events(tx: TenantTx, sequences: Sequence[int]) -> dict[int, Event]:
    """Return events by their numbers; those that were deleted since are absent."""
    found = await _events(tx, list(_told(await tx.fetch(_LIST_THESE, list(sequences)))))
    return {event.sequence: event for event in found}


async def last_sequence(tx: TenantTx) -> int:
    """Return the number of the newest numbered event, or 0."""
    return int(await tx.fetchval("SELECT sequence FROM relay_head WHERE id = 1"))


ABANDONED_AFTER: Final = timedelta(days=7)
"""After how long nothing is kept any more for a publisher that was turned off. It goes on with what is there then."""

# The oldest come first, and whatever a publisher hasn't seen stays, as does the newest of all. One that is at work or
# tries to be has said so lately; one that this process has itself may be about to begin.
_SWEEP = """
DELETE FROM outbox_events WHERE sequence IN (
    SELECT oldest.sequence
    FROM (SELECT sequence, occurred_at FROM outbox_events ORDER BY sequence LIMIT $2) AS oldest
    WHERE oldest.occurred_at < $1
      AND oldest.sequence < (SELECT sequence FROM relay_head WHERE id = 1)
      AND oldest.sequence <= ALL (
          SELECT sequence FROM publisher_cursors
          WHERE publisher <> ALL ($3::text[]) OR greatest(retry_at, claimed_until) >= $4
      )
)
"""


async def sweep(tx: TenantTx, before: datetime, limit: int, *, turned_off: Sequence[str] = ()) -> int:
    """Delete the oldest events that happened before an instant and that every publisher has seen; return how many.

    Args:
        tx: The tenant's transaction.
        before: The instant.
        limit: How many at most.
        turned_off: The publishers that this process hasn't; where no other one has had them for long either, nothing
            waits for them.
    """
    lately = await tx.fetchval("SELECT now()") - ABANDONED_AFTER
    return counted(await tx.execute(_SWEEP, before, limit, list(turned_off), lately))


_FREE_TEXT: Final = frozenset(
    {
        "counterparty_iban",
        "counterparty_name",
        "description",
        "label",
        "metadata",
        "name",
        "reason",
        "references",
        "remittance",
        "status_reason",
    }
)
"""The members of the contract's objects in which people write what they like."""

S = TypeVar("S", bound=msgspec.Struct)


def without_free_text(data: S) -> S:
    """Return an object as an event may tell of it: with its free text blank, wherever it stands.

    People write names into such text, events are read by more clients than the object is, and what was told can't be
    taken back. An object that has none is returned itself, so that whoever has encoded it needn't do so again.
    """
    free, nested = _free_text_of(type(data))
    changed: dict[str, Any] = {}
    for name in free:
        if value := getattr(data, name):
            changed[name] = type(value)() if isinstance(value, dict | list) else None
    for name, default in nested:
        value = getattr(data, name)
        if value is default:
            continue
        blank: Any = value
        if isinstance(value, list):
            blank = [without_free_text(each) for each in value]
            if all(one is each for one, each in zip(blank, value, strict=True)):
                blank = value
        elif value is not None:
            blank = without_free_text(value)
        if blank is not value:
            changed[name] = blank
    return msgspec.structs.replace(data, **changed) if changed else data


@cache
def _free_text_of(kind: type[msgspec.Struct]) -> tuple[tuple[str, ...], tuple[tuple[str, Any], ...]]:
    """Return which members of a type of object are free text, and which hold objects that have some.

    With each of the latter comes what it holds by default, which nobody has written anything into.
    """
    described = msgspec.inspect.type_info(kind)
    assert isinstance(described, msgspec.inspect.StructType)
    names = [field.name for field in described.fields]
    nested = [
        (field.name, field.default)
        for field in described.fields
        if field.name not in _FREE_TEXT and any(any(_free_text_of(each)) for each in _structs(field.type))
    ]
    return tuple(name for name in names if name in _FREE_TEXT), tuple(nested)


def _structs(described: msgspec.inspect.Type) -> list[type[msgspec.Struct]]:
    match described:
        case msgspec.inspect.StructType(cls=kind):
            return [kind]
        case msgspec.inspect.UnionType(types=types):
            return [each for one in types for each in _structs(one)]
        case msgspec.inspect.ListType(item_type=item):
            return _structs(item)
        case msgspec.inspect.Metadata(type=inner):
            return _structs(inner)
    return []


class _Told(msgspec.Struct):
    """One event of a row, which may have several."""

    row: Any
    sequence: int
    id: UUID
    object_id: str


def _told(rows: Sequence[Any]) -> Iterator[_Told]:
    """Return the events of rows, in order; a row has the number of the last of its own."""
    for row in rows:
        sequence, object_id, objects = row["sequence"], row["object_id"], row["objects"]
        if objects is None:
            yield _Told(row, sequence, row["id"], object_id)
            continue
        prefix = ids.Prefix(object_id.partition("_")[0])
        for number, each in enumerate(objects, start=sequence - len(objects) + 1):
            yield _Told(row, number, each, ids.encode(prefix, each))


async def _events(tx: TenantTx, found: Sequence[_Told]) -> list[Event]:
    """Return events, each room asked once for what its own rows tell of them."""
    wanted: dict[Teller, list[str]] = {}
    for one in found:
        if one.row["data"] is None:
            wanted.setdefault(_tellers[one.row["type"]], []).append(one.object_id)
    told: dict[str, Response] = {}
    for teller, object_ids in wanted.items():
        told |= await teller(tx, object_ids)
    return [_event(one, told) for one in found]


def _event(one: _Told, told: Mapping[str, Response]) -> Event:
    # Each type has had one version yet. With the first second one, events keep theirs in a column.
    kind, data = EVENTS.get(one.row["type"]), one.row["data"]
    return Event(
        id=ids.encode(Prefix.EVENT, one.id),
        sequence=one.sequence,
        type=one.row["type"],
        version=1 if kind is None else kind.version,
        object_id=one.object_id,
        data=msgspec.to_builtins(without_free_text(told[one.object_id])) if data is None else msgspec.json.decode(data),
        occurred_at=one.row["occurred_at"],
    )
