"""Traces: to which a request belongs, as its caller says it, so that it is found in the logs of all who took part.

Only ids go from one to the other, and into our logs. What they make up is for whoever collects the logs to put
together; nothing is recorded here, nor sent to a collector.

Source: W3C Trace Context, levels 1 and 2.
"""

import re
import secrets
from collections.abc import Mapping
from typing import Final

import msgspec

from billfold_server.http.card_numbers import holds_card_number

__all__ = ["Trace", "read_trace"]

_PARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_FORBIDDEN: Final = "ff"
_FIRST: Final = "00"
"""The version that we speak. Of a later one the same four parts are read, and what follows them is left out."""

_SAMPLED: Final = 0x01
_RANDOM: Final = 0x02
"""The flags that there are: whether the caller records this, and whether the trace's id was made by chance alone."""

_MEMBER: Final = re.compile(
    r"(?P<key>[a-z0-9][a-z0-9_\-*/@]{0,255})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MEMBERS: Final = 32
_STATE: Final = 512
"""How many characters of it are handed on: as many as everybody should."""
_LONG: Final = 128
"""Members that are longer are the first to be left out."""


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """The place of one request in a trace.

    Attributes:
        trace_id: The trace.
        span_id: Our part of it, which is this request.
        flags: What the caller says of it.
        state: What others who take part want to be handed on, each for itself; we say nothing there.
    """

    trace_id: str
    span_id: str
    flags: int
    state: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """Return what a request that this one causes says of it."""
        headers = {"traceparent": f"{_FIRST}-{self.trace_id}-{self.span_id}-{self.flags:02x}"}
        if self.state:
            headers["tracestate"] = self.state
        return headers


def read_trace(headers: Mapping[str, str]) -> Trace:
    """Return to which trace a request belongs: the one that its caller names, or else a new one.

    What can't be read counts as absent (section 4.3), as does a ``tracestate`` in which there may be a card's number.

    Args:
        headers: The request's, by lower-case name; of a header that came twice, its values with a comma between them.
    """
    match = _PARENT.fullmatch(headers.get("traceparent", ""))
    if match is None or not _is_good(*match.groups()):
        return Trace(trace_id=_new_id(16), span_id=_new_id(8), flags=_RANDOM)
    flags = int(match[4], 16) & (_SAMPLED | _RANDOM)
    return Trace(trace_id=match[2], span_id=_new_id(8), flags=flags, state=_state(headers.get("tracestate", "")))


def _is_good(version: str, trace_id: str, parent_id: str, _flags: str, more: str | None) -> bool:
    if version == _FORBIDDEN or (version == _FIRST and more is not None):
        return False
    return int(trace_id, 16) != 0 and int(parent_id, 16) != 0


def _new_id(octets: int) -> str:
    # Of all zeros none may be, which chance makes once in a few hundred billion years.
    return secrets.token_hex(octets)


def _state(text: str) -> str:
    """Return what is handed on of a ``tracestate`` (section 3.3): nothing where any of it can't be read.

    Where it is too long, long members go first, and then the last, which have said nothing for the longest.
    """
    members = [member for each in text.split(",") if (member := each.strip(" \t"))]
    found = [_MEMBER.fullmatch(member) for member in members]
    keys = {each["key"] for each in found if each is not None}
    if len(members) > _MEMBERS or len(keys) < len(members) or holds_card_number(text):
        return ""
    if len(",".join(members)) > _STATE:
        members = [member for member in members if len(member) <= _LONG]
    while len(",".join(members)) > _STATE:
        members.pop()
    return ",".join(members)
