"""What third parties may write that customers are shown: nothing hidden, and names and references that say something.

Pure. The official schemas take any characters; whoever reads a page sees only some. What isn't seen is refused where it
comes in, in every text of a request that makes a consent or orders a payment, because any of them may come to stand
beside an amount or an account number. Source: RTS on SCA (EU 2018/389), article 5.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from billfold.contract.texts import fault_of
from billfold_server.open_banking.edge.errors import FIELD_INVALID, field_error

__all__ = ["check_texts"]

_TO_LOOK_AT: Final = re.compile(rb'[^ -~\t\r\n]|\\|"[ ]+"')
"""What a body holds where a text may say less than it has: anything but visible ASCII (also DEL, which JSON lets stand
as it is, unlike the other controls), escapes, and a text of blanks. White space between members is none of a text's."""
_SAYS: Final = frozenset({"Name", "Reference", "Unstructured"})
"""Members by which people know whom and for what they pay; others may well be blank, as lines of addresses are."""


def check_texts(body: bytes, read: Any) -> None:
    """Refuse a request that holds what wouldn't be seen, or a name or a reference in which there is nothing to see.

    Args:
        body: The request as it came. Most are ASCII without escapes, and need no look at each of their texts.
        read: What was read from it.

    Raises:
        errors.ProblemError: The path names the text.
    """
    if _TO_LOOK_AT.search(body) is None:
        return
    for path, member, text in _texts(msgspec.to_builtins(read), "", ""):
        fault = fault_of(text) if text else None
        if fault == "hidden":
            raise field_error(path, FIELD_INVALID, "holds characters that can't be seen")
        if fault == "blank" and member in _SAYS:
            raise field_error(path, FIELD_INVALID, "holds nothing that can be seen")


def _texts(value: Any, path: str, member: str) -> Iterator[tuple[str, str, str]]:
    """Return every text with its path and the member that holds it."""
    if isinstance(value, str):
        yield path, member, value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _texts(each, f"{path}.{name}" if path else name, name)
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from _texts(each, f"{path}[{place}]", member)
