"""What the lines of all exports have in common: each is a JSON object whose ``record`` says what it is."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias, TypeVar

import msgspec

__all__ = ["Line", "Source", "Time", "name_of", "read_all", "read_line"]

Time: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
"""An instant. One without its zone is no instant, so a line that has lost it can't be read."""

Source: TypeAlias = Iterable[bytes | str] | str | os.PathLike[str]
"""The lines of an export, or the path of the file that holds them."""

_TOO_DEEP: Final = "the line nests too deep"
_TWINS: Final = "a member stands twice in the same object"


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="record"):
    """A line of an export."""


AnyLine = TypeVar("AnyLine", bound=Line)


def name_of(line: Line) -> str:
    """Return what kind of line this is, as ``record`` says it."""
    return str(line.__struct_config__.tag)


def read_line(
    line: bytes | str, decoder: msgspec.json.Decoder[AnyLine], encode: Callable[[AnyLine], bytes] | None = None
) -> AnyLine:
    """Read a line in which no member stands twice in the same object.

    JSON doesn't say which of the two counts (RFC 8259, section 4), so somebody else may see another one than we do.

    Args:
        line: The line, with or without its end.
        decoder: Reads it.
        encode: Writes what was read. A line that it writes just so isn't looked through, which saves most of the time;
            absent where a line is written with a part that was never read.

    Raises:
        msgspec.DecodeError: It is no JSON, no such line, or one with members that it can't have, or has twice.
        UnicodeDecodeError: It is no UTF-8.
    """
    try:
        read = decoder.decode(line)
        if encode is None or not _is_written_so(line, encode(read)):
            # Another's way of writing it may be no harm.
            json.loads(line, object_pairs_hook=_refuse_twins)
    except RecursionError:
        raise msgspec.DecodeError(_TOO_DEEP) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise
    except ValueError as error:
        raise msgspec.DecodeError(str(error)) from None
    return read


def read_all(source: Source, read: Callable[[bytes | str], AnyLine]) -> Iterator[tuple[int, AnyLine | None]]:
    """Yield the lines of an export with their numbers, from 1 on; None for one that is no line of it.

    Raises:
        OSError: The file can't be read.
    """
    with _opened(source) as lines:
        for number, text in enumerate(lines, 1):
            line: AnyLine | None
            try:
                line = read(text)
            except (msgspec.DecodeError, UnicodeDecodeError):
                line = None
            yield number, line


def _opened(source: Source) -> AbstractContextManager[Iterable[bytes | str]]:
    if isinstance(source, str | os.PathLike):
        return Path(source).open("rb")
    return nullcontext(source)


def _is_written_so(line: bytes | str, written: bytes) -> bool:
    return line.rstrip() == (written if isinstance(line, bytes) else written.decode())


def _refuse_twins(members: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in members}) < len(members):
        raise ValueError(_TWINS)
