"""Which texts may be shown to people beside facts: nothing in them is hidden, and something in them is seen. Pure.

A payee's name or a reference stands beside an amount and an account number, and whoever reads the page agrees to what
they see (RTS on SCA, article 5). A character that isn't seen but turns what follows around (U+202E), or takes up no
room (U+200B), makes the page say something else than what is done. So texts of others are held to this where they come
in; what came in before is shown by ``without_hidden``.

Refused are controls (Unicode's Cc), line and paragraph separators, controls of direction (UAX 9), characters without
width, fillers, tags, private use and noncharacters. Joiners and variation selectors belong to writing (Persian, Indic
scripts, emoji, names in Japanese), and stay where they belong to a visible character. What is not assigned yet is
taken: a newer Unicode than ours may have assigned it, and it is seen as a box until then.
"""

import re
from typing import Final

__all__ = ["LINE", "fault_of", "without_hidden"]

LINE: Final = "line"
"""The format, in the contract, of texts that are held to this: one line that people are shown."""

# Ranges of character classes.
_LINES: Final = r"\t\n\r"
_OTHER_CONTROLS: Final = r"\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f"
_FORMATS: Final = (
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164"
    r"\ue000-\uf8ff\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U0010ffff"
)
_JOINERS: Final = r"\u200c\u200d"
_SELECTORS: Final = "\\u180b-\\u180f\\ufe00-\\ufe0f\U000e0100-\U000e01ef"
_SPACES: Final = r" \u00a0\u1680\u2000-\u200a\u202f\u205f\u2800\u3000"
_VIRAMAS: Final = r"\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca"
"""After these a joiner is written at the end of a word as well."""


def _pattern(hidden: str, spaces: str) -> str:
    never = f"{hidden}{_JOINERS}{_SELECTORS}"
    visible = f"[^{never}{spaces}]"
    # No two of these match the same, so that each text is read once, from left to right.
    joined = f"[{_SELECTORS}]|[{_JOINERS}](?={visible})|(?<=[{_VIRAMAS}])[{_JOINERS}](?!{visible})"
    return f"^[{spaces}]*{visible}[^{never}]*(?:(?<=[^{hidden}{spaces}{_JOINERS}])(?:{joined})[^{never}]*)*$(?!\\n)"


_HIDDEN: Final = re.compile(f"[{_OTHER_CONTROLS}{_LINES}{_FORMATS}]")
_LINE: Final = re.compile(_pattern(f"{_OTHER_CONTROLS}{_LINES}{_FORMATS}", _SPACES))
_SEVERAL: Final = re.compile(_pattern(f"{_OTHER_CONTROLS}{_FORMATS}", _SPACES + _LINES))
_BLANK: Final = re.compile(f"[{_SPACES}{_LINES}{_JOINERS}{_SELECTORS}]*")


def fault_of(text: str, *, several_lines: bool = False) -> str | None:
    """Return why a text may not be shown beside facts: ``hidden`` or ``blank``; None where it may.

    Args:
        text: What somebody else has chosen: a name, a label, a reference.
        several_lines: Whether it may have more than one line, as a reason or a note.
    """
    if (_SEVERAL if several_lines else _LINE).search(text) is not None:
        return None
    return "blank" if _BLANK.fullmatch(text) is not None else "hidden"


def without_hidden(text: str) -> str:
    """Return a text that was taken before this rule was, with a mark for each character that would not be seen.

    Args:
        text: What somebody else has chosen.
    """
    return text if text.isascii() and text.isprintable() else _HIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
