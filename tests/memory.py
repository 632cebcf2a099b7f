"""Looks through the memory of a running process, as who may read ``/proc/<pid>/mem`` does."""

import base64
import os
import re
from collections.abc import Iterator, Sequence

__all__ = ["found_in"]

_CHUNK = 8 * 1024 * 1024
_OVERLAP = 256


def forms_of(number: str) -> Iterator[bytes]:
    """Yield a number as it may lie in memory: as text, in groups, in wide characters, in hex and in base64."""
    grouped = [number[begin : begin + 4] for begin in range(0, len(number), 4)]
    for text in (number, " ".join(grouped), "-".join(grouped), number.encode().hex(), number.encode().hex().upper()):
        yield text.encode()
        yield text.encode("utf-16-le")
    # Whatever comes before it moves base64 by none, one or two bytes; only whole groups of it are looked for.
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + number.encode())
        yield whole[4 if shift else 0 : len(whole) - 4]


def found_in(pid: int, numbers: Sequence[str]) -> set[str]:
    """Return which numbers lie anywhere in a process's memory, in any form; it looks no further than to the last."""
    forms = {form: number for number in numbers for form in forms_of(number)}
    # All forms of numbers with the same beginning begin alike, so one pass for each beginning finds all of them.
    pattern = re.compile(b"|".join(re.escape(each) for each in _beginnings(list(forms))))
    lengths = sorted({len(form) for form in forms}, reverse=True)
    found: set[str] = set()
    for chunk in _memory(pid):
        for match in pattern.finditer(chunk):
            at = match.start()
            found |= {forms[each] for length in lengths if (each := chunk[at : at + length]) in forms}
        if len(found) == len(set(numbers)):
            break
    return found


def _beginnings(forms: Sequence[bytes]) -> list[bytes]:
    return sorted({form[:6] for form in forms})


def _memory(pid: int) -> Iterator[bytes]:
    """Yield all that is readable of a process, in pieces that overlap."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:  # noqa: PTH123
        for line in maps:
            span, rights, *_, name = [*line.split(maxsplit=5), ""][:6]
            if "r" not in rights or name.startswith(("[vvar", "[vsyscall")):
                continue
            begin, end = (int(each, 16) for each in span.split("-"))
            for at in range(begin, end, _CHUNK):
                try:
                    yield os.pread(memory.fileno(), min(_CHUNK + _OVERLAP, end - at), at)
                except OSError:
                    # A mapping of a device, or one that is gone by now.
                    break
