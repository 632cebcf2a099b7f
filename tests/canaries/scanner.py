"""A scanner for card numbers that somebody has given out on purpose: fast, in every form in which they may lie about.

All of them share six digits behind the first two. So a few fixed strings, one for each way to write these six, are
looked for at the speed of memory; only where one is found is it looked at more closely which number it is.
"""

import base64
import hashlib
import os
import re
import secrets
from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from stdnum import luhn

__all__ = ["Canaries", "Find", "memory_of"]

_CORE: Final = "993188"
"""What every canary has from its third digit on; as first digits of these brands nobody issues it."""
_BRANDS: Final = (("49", 16), ("55", 16), ("37", 15))
_GROUPED: Final = (_CORE, f"{_CORE[:2]} {_CORE[2:]}", f"{_CORE[:2]}-{_CORE[2:]}")
"""The six digits as they stand in a number without groups, and in one whose first group has four."""

_NEAR: Final = 96
"""How many bytes of either side are looked at where something was found: more than any form of a number has."""
_CHUNK: Final = 16 * 1024 * 1024
_OVERLAP: Final = 4 * _NEAR


class Find(NamedTuple):
    """A number that was found, and how it was written."""

    number: str
    form: str


class _Needle(NamedTuple):
    """A fixed string, and what brings a number back out of what is around it."""

    form: str
    text: bytes


def _needles() -> Iterator[_Needle]:
    for text in _GROUPED:
        raw = text.encode()
        yield _Needle("raw", raw)
        yield _Needle("utf-16", text.encode("utf-16-le"))
        for written in {raw.hex(), raw.hex().upper()}:
            yield _Needle("hex", written.encode())
        for before in range(3):
            encoded = base64.b64encode(b"\0" * before + raw)
            # Whole groups alone: the characters at both ends depend on what stands beside it.
            inner = encoded[4 if before else 0 : (before + len(raw)) // 3 * 4]
            yield _Needle("base64", inner)
            yield _Needle("hex of base64", inner.hex().encode())
    for brand, _ in _BRANDS:
        # Two digits a byte, the first in the upper or in the lower half.
        packed = bytes.fromhex(brand + _CORE)
        yield _Needle("packed", packed)
        yield _Needle("packed, halves changed", _changed(packed))


def _changed(packed: bytes) -> bytes:
    return bytes((each >> 4) | (each & 15) << 4 for each in packed)


_FORM_OF: Final = {each.text: each.form for each in _needles()}
_ANY: Final = re.compile(b"|".join(map(re.escape, _FORM_OF)))
"""Finds all of them in one go, by several times the speed of looking for one after the other."""
_DIGITS: Final = re.compile(rb"[0-9](?:[ \-]?[0-9])+")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]+")
_HEX: Final = re.compile(rb"[0-9A-Fa-f]+")


class Canaries:
    """Numbers that are nowhere else, and what finds them again."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._chance = secrets.SystemRandom()

    def __len__(self) -> int:
        return len(self._known)

    def make(self) -> str:
        """Return a number that was never given out before: a valid one of one of three brands."""
        while True:
            brand, length = self._chance.choice(_BRANDS)
            body = f"{brand}{_CORE}" + "".join(self._chance.choices("0123456789", k=length - 9))
            number = body + str(luhn.calc_check_digit(body))
            if number not in self._known:
                self._known.add(number)
                return number

    def found_in(self, data: bytes) -> set[Find]:
        """Return which numbers are anywhere in some bytes."""
        found: set[Find] = set()
        for match in _ANY.finditer(data):
            form, begin = _FORM_OF[match[0]], max(0, match.start() - _NEAR)
            near = data[begin : match.end() + _NEAR]
            found |= {Find(each, form) for each in self._read(form, near, match.start() - begin)}
        return found

    def found_in_pieces(self, pieces: Iterable[bytes]) -> set[Find]:
        """Return which numbers are in bytes that come piece by piece, also where one lies over an edge."""
        return set().union(*self._found_by_piece(pieces))

    def any_in_pieces(self, pieces: Iterable[bytes]) -> bool:
        """Tell whether such bytes have any number, and look no further than to the first."""
        return any(self._found_by_piece(pieces))

    def _found_by_piece(self, pieces: Iterable[bytes]) -> Iterator[set[Find]]:
        """Yield what is in each piece, and over the edge before it.

        Much of a memory is the same as much else of it, such as what was never written to. It is looked at once, and at
        its edges each time.
        """
        known: set[bytes] = set()
        before = b""
        for piece in pieces:
            digest = hashlib.sha256(piece).digest()
            yield self.found_in(before[-_OVERLAP:] + (piece[:_OVERLAP] if digest in known else piece))
            known.add(digest)
            before = piece

    def found_in_file(self, path: Path) -> set[Find]:
        """Return which numbers are in a file."""
        with path.open("rb") as file:
            return self.found_in_pieces(iter(lambda: file.read(_CHUNK), b""))

    def found_in_folder(self, folder: Path) -> dict[str, set[Find]]:
        """Return which numbers are in the files below a folder, by file; one that is gone meanwhile has none."""
        found: dict[str, set[Find]] = {}
        for path in sorted(folder.rglob("*")):
            try:
                if path.is_file() and (finds := self.found_in_file(path)):
                    found[str(path.relative_to(folder))] = finds
            except FileNotFoundError:
                continue
        return found

    def _read(self, form: str, near: bytes, at: int) -> Iterator[str]:
        for text in _decoded(form, near, at):
            for run in _DIGITS.finditer(text):
                digits = re.sub(rb"[ \-]", b"", run[0]).decode()
                for begin in range(len(digits)):
                    for _, length in _BRANDS:
                        if digits[begin : begin + length] in self._known:
                            yield digits[begin : begin + length]


def _decoded(form: str, near: bytes, at: int) -> Iterator[bytes]:
    """Yield what some bytes mean, read from every place at which a unit may begin."""
    match form:
        case "raw":
            yield near
        case "utf-16":
            yield near[at % 2 :: 2]
        case "hex" | "hex of base64":
            run = _around(_HEX, near, at)
            for shift in range(2):
                whole = run[shift:]
                plain = bytes.fromhex(whole[: len(whole) // 2 * 2].decode())
                yield from [plain] if form == "hex" else _decoded("base64", plain, len(plain) // 2)
        case "base64":
            run = _around(_BASE64, near, at).translate(bytes.maketrans(b"-_", b"+/"))
            for shift in range(4):
                whole = run[shift:]
                # What is over is the end of a text without its padding; a single character is no byte.
                whole = whole[: len(whole) - (len(whole) % 4 == 1)]
                yield base64.b64decode(whole + b"=" * (-len(whole) % 4))
        case "packed":
            yield near.hex().encode()
        case _:
            yield _changed(near).hex().encode()


def _around(kind: re.Pattern[bytes], near: bytes, at: int) -> bytes:
    """Return the run of characters of a kind that goes over a place."""
    return next((run[0] for run in kind.finditer(near) if run.start() <= at < run.end()), b"")


def memory_of(pid: int, *, private: bool = False) -> Iterator[bytes]:
    """Yield all that is readable of a process's memory, as a core file would hold it.

    Args:
        pid: The process.
        private: Whether what it shares with others is left out.
    """
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:  # noqa: PTH123
        for line in maps:
            span, rights, *_, name = [*line.split(maxsplit=5), ""][:6]
            if "r" not in rights or name.startswith(("[vvar", "[vsyscall")) or (private and "s" in rights):
                continue
            begin, end = (int(each, 16) for each in span.split("-"))
            edges = [*range(begin, end, _CHUNK), end]
            for at, until in pairwise(edges):
                try:
                    yield os.pread(memory.fileno(), until - at, at)
                except OSError:
                    # A mapping of a device, or one that is gone by now.
                    break


def all_finds(found: Collection[Find]) -> str:
    """Return finds as a text that may be shown: how many there are of each form."""
    forms = sorted({each.form for each in found})
    return ", ".join(f"{sum(each.form == form for each in found)} {form}" for form in forms)
