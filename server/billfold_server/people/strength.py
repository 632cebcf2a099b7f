"""How hard a password is to guess for somebody who knows what people choose.

There are no rules of composition (NIST SP 800-63B, section 5.1.1.2): length counts, and what is common, breached,
repeated, a sequence, or to be expected of this person at this bank doesn't. A password is covered by such pieces in the
cheapest way, and the guesses that this takes are what it is worth; the idea is Wheeler's zxcvbn (USENIX Security 2016).
"""

import functools
import gzip
import math
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Literal

__all__ = ["LONGEST", "SHORTEST", "Weakness", "guesses_log10", "normalised", "weakness"]

Weakness = Literal["short", "long", "guessable"]

SHORTEST: Final = 12
LONGEST: Final = 128
_ENOUGH_LOG10: Final = 9.0
"""A billion guesses, each of which costs a slow hash."""

_LIST: Final = Path(__file__).parent / "data" / "common_passwords.txt.gz"
_PER_CHARACTER_LOG10: Final = 1.0
_PER_PIECE_LOG10: Final = 0.3
_SEQUENCE_LOG10: Final = 1.2
_SHORTEST_PIECE: Final = 3
_LONGEST_PIECE: Final = 24
_ROWS: Final = (
    "abcdefghijklmnopqrstuvwxyz",
    "0123456789012",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "yxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "1q2w3e4r5t6y7u8i9o0p",
)
_LEET: Final = str.maketrans("@4301!$5+7", "aaeoiisstt")


def normalised(password: str) -> str:
    """Return a password as it is hashed, so that it is the same on every keyboard (NIST SP 800-63B, 5.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


def weakness(password: str, context: Iterable[str]) -> Weakness | None:
    """Tell why a new password is refused, or None.

    Args:
        password: As it was typed.
        context: Words to be expected, such as the bank's name and the person's own.
    """
    plain = normalised(password)
    if len(plain) < SHORTEST:
        return "short"
    if len(plain) > LONGEST:
        return "long"
    return "guessable" if guesses_log10(plain, context) < _ENOUGH_LOG10 else None


def guesses_log10(password: str, context: Iterable[str]) -> float:
    """Return the power of ten of the guesses that a password withstands, at least.

    Args:
        password: What is to be guessed.
        context: Words that are guessed first.
    """
    text = password.casefold()[:LONGEST]
    expected = {part for word in context for part in _parts(word)}
    best = [0.0] + [math.inf] * len(text)
    for start in range(len(text)):
        best[start + 1] = min(best[start + 1], best[start] + _PER_CHARACTER_LOG10)
        for end, cost in _pieces(text, start, expected):
            best[end] = min(best[end], best[start] + cost)
    return best[len(text)]


def _parts(word: str) -> Iterator[str]:
    folded = word.casefold()
    yield from ("".join(folded.split()), *folded.replace("@", " ").replace(".", " ").replace("_", " ").split())


def _pieces(text: str, start: int, expected: set[str]) -> Iterator[tuple[int, float]]:
    """Yield where pieces that begin here end, and what they cost."""
    ranks = _ranks()
    for end in range(start + _SHORTEST_PIECE, min(len(text), start + _LONGEST_PIECE) + 1):
        piece = text[start:end]
        for spelled in {piece, piece.translate(_LEET)}:
            if spelled in expected:
                yield end, _PER_PIECE_LOG10
            elif (rank := ranks.get(spelled)) is not None:
                yield end, _PER_PIECE_LOG10 + math.log10(rank)
        if any(piece in row or piece[::-1] in row for row in _ROWS):
            yield end, _SEQUENCE_LOG10
    yield from _repeats(text, start)


def _repeats(text: str, start: int) -> Iterator[tuple[int, float]]:
    """Yield repetitions of what lies right before: they cost next to nothing."""
    for size in range(1, start + 1):
        unit = text[start - size : start]
        end = start
        while text.startswith(unit, end):
            end += size
        if end > start:
            yield end, _PER_PIECE_LOG10


@functools.cache
def _ranks() -> dict[str, int]:
    """Return the passwords that breaches have shown to be common, each with its place."""
    lines = gzip.decompress(_LIST.read_bytes()).decode("utf-8").split("\n")
    return {word: place for place, word in enumerate(lines, start=1)}
