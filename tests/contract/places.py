"""Places in a JSON value: where its texts and numbers stand, and the same value with another one there."""

from collections.abc import Iterator
from typing import Any

__all__ = ["numbers_in", "replaced", "strings_in"]


def strings_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Return the place of every text in a value, and the name of the member that holds it."""
    if isinstance(value, str):
        yield path, next((str(each) for each in reversed(path) if isinstance(each, str)), "")
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from strings_in(each, (*path, name))
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from strings_in(each, (*path, place))


def numbers_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the place of every whole number in a value."""
    if isinstance(value, int) and not isinstance(value, bool):
        yield path
    elif isinstance(value, dict | list):
        for name, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers_in(each, (*path, name))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return a value that has another one at a place."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy
