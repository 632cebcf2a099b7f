"""Structs that Python's collector of garbage doesn't look at (``gc=False``).

What a transfer makes is made and dropped thousands of times a second, and counting references is enough to drop it. The
collector is for what refers to itself by way of others; where a Struct of that kind were hidden from it, nothing of the
circle would ever be freed. So only those are untracked that lead nowhere but down: to texts, numbers, times, ids, and
Structs and collections of these. None holds a callable, task, future, connection or error, whose traceback leads back
to everything that was under way; and none may be changed once it is made.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import msgspec.inspect
import pytest

import billfold_server.app  # noqa: F401 - it loads the others
from billfold_server.request_log.rows import Seen

FEW = 100
LEAVES = (
    # JSON, wherever a field may hold any of it.
    msgspec.inspect.AnyType,
    msgspec.inspect.BoolType,
    msgspec.inspect.BytesType,
    msgspec.inspect.DateTimeType,
    msgspec.inspect.DateType,
    msgspec.inspect.EnumType,
    msgspec.inspect.FloatType,
    msgspec.inspect.IntType,
    msgspec.inspect.LiteralType,
    msgspec.inspect.NoneType,
    msgspec.inspect.RawType,
    msgspec.inspect.StrType,
    msgspec.inspect.UUIDType,
)

HOLDING = (
    msgspec.inspect.CollectionType,
    msgspec.inspect.DictType,
    msgspec.inspect.Metadata,
    msgspec.inspect.TupleType,
    msgspec.inspect.UnionType,
)


def structs(base: type[msgspec.Struct] = msgspec.Struct) -> Iterator[type[msgspec.Struct]]:
    """Return all Structs that are loaded with the server."""
    for each in base.__subclasses__():
        yield each
        yield from structs(each)


# What waits to be noted in the log of requests is filled in as the request goes on, and has the operation: one of the
# few that there are for as long as the process.
UNTRACKED = sorted({each for each in structs() if not each.__struct_config__.gc} - {Seen}, key=str)


def below(kind: Any) -> tuple[Any, ...]:
    """Return the types of what a Struct or a collection holds."""
    if isinstance(kind, msgspec.inspect.StructType):
        return tuple(field.type for field in kind.fields)
    if isinstance(kind, msgspec.inspect.DictType):
        return kind.key_type, kind.value_type
    if isinstance(kind, msgspec.inspect.UnionType):
        return kind.types
    if isinstance(kind, msgspec.inspect.TupleType):
        return kind.item_types
    return (kind.type,) if isinstance(kind, msgspec.inspect.Metadata) else (kind.item_type,)


def astray(kind: Any, seen: frozenset[type] = frozenset()) -> Iterator[object]:
    """Return what a type leads to that isn't known to lead only down."""
    is_struct = isinstance(kind, msgspec.inspect.StructType)
    if isinstance(kind, LEAVES) or (is_struct and kind.cls in seen):
        return
    if is_struct and not kind.cls.__struct_config__.frozen:
        yield kind.cls
    if not is_struct and not isinstance(kind, HOLDING):
        yield kind
        return
    for each in below(kind):
        yield from astray(each, seen | {kind.cls} if is_struct else seen)


class TestAnUntrackedStruct:
    def test_leads_nowhere_but_down(self) -> None:
        """It and all that it holds are values that can't come back to it."""
        assert len(UNTRACKED) > FEW
        found = {str(each): list(astray(msgspec.inspect.type_info(each))) for each in UNTRACKED}
        assert {name: kinds for name, kinds in found.items() if kinds} == {}

    @pytest.mark.parametrize("held", [object, msgspec.Struct | None, list[BaseException], dict[str, memoryview]])
    def test_is_looked_at_in_all_it_holds(self, held: Any) -> None:
        """Anything else is found, wherever in a field it stands."""
        tried = msgspec.defstruct("tried", [("held", held)], frozen=True)
        assert list(astray(msgspec.inspect.type_info(tried)))
