"""Finds the texts of a body that people are shown beside facts, and sees that nothing in them is hidden. Pure.

Which those are says the contract: names, labels and references are of ``LINE``'s format.
"""

import functools
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import inspect

from billfold.contract.texts import LINE, fault_of

__all__ = ["find_fault"]

_BLANK_TEXT: Final = re.compile(rb'"[ ]+"')
_REASONS: Final = {"hidden": "holds characters that can't be seen", "blank": "holds nothing that can be seen"}


def find_fault(type_: Any, body: bytes, read: Any) -> tuple[str, str] | None:
    """Return the place of the first text that may not be shown, and why; None where there is none.

    Args:
        type_: What the body was read as.
        body: The body as it came. Most are ASCII without escapes, and need no look at each of their texts.
        read: What was read.
    """
    if body.isascii() and b"\\" not in body and _BLANK_TEXT.search(body) is None:
        return None
    for path, text in _lines(_info(type_), read, ""):
        if (fault := fault_of(text)) is not None:
            return path or "body", _REASONS[fault]
    return None


@functools.cache
def _info(type_: Any) -> inspect.Type:
    return inspect.type_info(type_)


def _lines(kind: inspect.Type, value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Return every line of text in a value, with its place."""
    if isinstance(kind, inspect.Metadata):
        if isinstance(value, str) and (kind.extra_json_schema or {}).get("format") == LINE:
            yield path, value
        yield from _lines(kind.type, value, path)
    elif isinstance(kind, inspect.UnionType):
        for each in kind.types:
            yield from _lines(each, value, path)
    elif isinstance(kind, inspect.StructType) and type(value) is kind.cls:
        for field in kind.fields:
            inner = getattr(value, field.name)
            if isinstance(inner, str | list | msgspec.Struct):
                yield from _lines(field.type, inner, f"{path}.{field.encode_name}" if path else field.encode_name)
    elif isinstance(kind, inspect.ListType) and isinstance(value, list):
        for place, each in enumerate(value):
            yield from _lines(kind.item_type, each, f"{path}[{place}]")
