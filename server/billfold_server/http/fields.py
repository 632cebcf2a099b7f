"""What a body may have at a place: to tell whoever misspelled a field or a value what they may have meant."""

import difflib
import functools
import re
from collections.abc import Iterator
from typing import Any, Final

from msgspec import inspect

__all__ = ["known_fields", "known_values", "unknown_field"]

_STEPS = re.compile(r"\.([A-Za-z_]\w*)|(\[(?:\d+|\.\.\.)\])")
_COMPARED: Final = 100
"""How much of a name is compared: no field of ours is as long."""
_LISTED: Final = 12
"""How many fields or values are listed at most."""


def known_fields(type_: Any, path: str) -> list[str] | None:
    """Return the fields of the objects that may stand at a place of a type, in their order.

    Args:
        type_: What the body is read as.
        path: The place as msgspec tells it, such as ``$.a[0].b``.

    Returns:
        The fields' names on the wire; None where the type has no such place.
    """
    structs = [kind for kind in _found(type_, path) if isinstance(kind, inspect.StructType)]
    if not structs:
        return None
    return list(dict.fromkeys(field.encode_name for kind in structs for field in kind.fields))


def known_values(type_: Any, path: str) -> list[str]:
    """Return the values that may stand at a place of a type; none where they aren't few, or not texts.

    Args:
        type_: What the body is read as.
        path: The place as msgspec tells it, such as ``$.a[0].b``.
    """
    values: list[Any] = []
    for kind in _found(type_, path):
        if isinstance(kind, inspect.EnumType):
            values += [member.value for member in kind.cls]
        elif isinstance(kind, inspect.LiteralType):
            values += kind.values
    known = list(dict.fromkeys(values))
    return known if len(known) <= _LISTED and all(isinstance(each, str) for each in known) else []


def _found(type_: Any, path: str) -> list[inspect.Type]:
    """Return what may stand at a place of a type; nothing where it has no such place."""
    kinds = list(_alternatives(_info(type_)))
    end = 1
    for step in _STEPS.finditer(path, 1):
        if step.start() != end:
            return []
        end = step.end()
        kinds = [inner for kind in kinds for inner in _below(kind, step[1])]
    return kinds if end == len(path) else []


@functools.cache
def _info(type_: Any) -> inspect.Type:
    return inspect.type_info(type_)


def _alternatives(kind: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(kind, inspect.Metadata):
        yield from _alternatives(kind.type)
    elif isinstance(kind, inspect.UnionType):
        for each in kind.types:
            yield from _alternatives(each)
    else:
        yield kind


def _below(kind: inspect.Type, name: str | None) -> Iterator[inspect.Type]:
    """Return what may stand below an object's member, or in a list or table."""
    if isinstance(kind, inspect.StructType):
        for field in kind.fields:
            if field.encode_name == name:
                yield from _alternatives(field.type)
    elif name is None and isinstance(kind, inspect.ListType):
        yield from _alternatives(kind.item_type)
    elif name is None and isinstance(kind, inspect.DictType):
        yield from _alternatives(kind.value_type)


def unknown_field(sent: str, known: list[str]) -> str:
    """Return why a field is refused, with the nearest of ours or else all of them, and without the name that was sent.

    Args:
        sent: The name that was sent.
        known: The fields that there are.
    """
    if near := difflib.get_close_matches(sent[:_COMPARED], known, n=1):
        return f"unknown field; did you mean {near[0]}?"
    if not known:
        return "unknown field; there are none here"
    more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
    return f"unknown field; there are {', '.join(known[:_LISTED])}{more}"
