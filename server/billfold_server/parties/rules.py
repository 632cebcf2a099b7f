"""What holds for parties: how they are found, what a change changes, and what others are told of it."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from billfold.contract.parties import Party, PartyKind, PartyRole, UpdateParty

__all__ = ["EventData", "changed_fields", "event_data", "search_query", "search_terms", "without_repeats"]

_WORD = re.compile(r"[^\W_]+")


class EventData(msgspec.Struct, frozen=True, kw_only=True):
    """What events say of a party: no name, address or other personal text. Whoever may, reads the party for these."""

    id: str
    kind: PartyKind
    roles: Sequence[PartyRole]
    version: int
    changed: Sequence[str]


def search_terms(*texts: str | None) -> list[str]:
    """Return the words of texts in the form in which they are compared, each once.

    Case, accents and typographic variants make no difference: "Žofie" is found as "zofie". A mail address is found by
    each of its parts.
    """
    return sorted({word for text in texts if text for word in _words(text)})


def search_query(text: str) -> str | None:
    """Return the ``tsquery`` for which every word of the text must begin a word of the party, or None without words."""
    words = dict.fromkeys(_words(text))
    return " & ".join(f"'{word}':*" for word in words) or None


def changed_fields(present: Mapping[str, Any], update: UpdateParty) -> dict[str, Any]:
    """Return the new values of those fields that an update really changes."""
    asked = {name: getattr(update, name) for name in update.__struct_fields__}
    if asked["roles"] is not UNSET:
        asked["roles"] = without_repeats(asked["roles"])
    return {name: value for name, value in asked.items() if value is not UNSET and value != present[name]}


def without_repeats(roles: Sequence[PartyRole]) -> list[PartyRole]:
    """Return roles as they are kept: each once, in the order of the contract."""
    return [role for role in PartyRole if role in roles]


def event_data(party: Party, changed: Sequence[str]) -> bytes:
    """Return what an event says of a party, as JSON."""
    data = EventData(id=party.id, kind=party.kind, roles=party.roles, version=party.version, changed=sorted(changed))
    return msgspec.json.encode(data)


def _words(text: str) -> list[str]:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(character for character in decomposed if not unicodedata.combining(character))
    return _WORD.findall(bare.casefold())
