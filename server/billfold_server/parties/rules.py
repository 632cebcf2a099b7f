"""What holds for parties: how they are found, what a change changes, and what others are told of it."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import UNSET

from billfold.contract.events import PartyEventData
from billfold.contract.parties import Party, PartyRole, UpdateParty

__all__ = [
    "LONGEST",
    "changed_fields",
    "event_data",
    "index_terms",
    "query_terms",
    "search_words",
    "without_repeats",
]

LONGEST: Final = 24
"""How many characters of a word count when parties are found by it."""
_SHORTEST: Final = 3
_IDEOGRAPHS: Final = "\u2e80"
"""From here on, the characters of Unicode stand for syllables and words."""

_WORD = re.compile(r"[^\W_]+")


def search_words(*texts: str | None) -> list[str]:
    """Return the words of texts in the form in which they are compared, each once.

    Case, accents and typographic variants make no difference: "Žofie" is found as "zofie". A mail address is found by
    each of its parts.
    """
    return sorted({word for text in texts if text for word in _words(text)})


def index_terms(words: Iterable[str]) -> list[str]:
    """Return the terms by whose digests a party with these words is found: the words' beginnings.

    Of very short beginnings there are so few that their digests would tell how often each letter begins a name. So a
    beginning has at least three characters, or is the whole word; of a script in which a character is a word or a
    syllable, one is enough.
    """
    terms: set[str] = set()
    for word in words:
        known = word[:LONGEST]
        terms.update(known[:end] for end in range(min(_shortest(word), len(known)), len(known) + 1))
    return sorted(terms)


def query_terms(text: str) -> list[str] | None:
    """Return the terms of which a party must have every one, for each word of the text to begin a word of the party.

    None where there are no words in it.
    """
    return [word[:LONGEST] for word in dict.fromkeys(_words(text))] or None


def _shortest(word: str) -> int:
    return 1 if word >= _IDEOGRAPHS else _SHORTEST


def changed_fields(present: Mapping[str, Any], update: UpdateParty) -> dict[str, Any]:
    """Return the new values of those fields that an update really changes."""
    asked = {name: getattr(update, name) for name in update.__struct_fields__}
    if asked["roles"] is not UNSET:
        asked["roles"] = without_repeats(asked["roles"])
    return {name: value for name, value in asked.items() if value is not UNSET and value != present[name]}


def without_repeats(roles: Sequence[PartyRole]) -> list[PartyRole]:
    """Return roles as they are kept: each once, in the order of the contract."""
    return [role for role in PartyRole if role in roles]


def event_data(party: Party, changed: Sequence[str]) -> PartyEventData:
    """Return what an event says of a party."""
    return PartyEventData(
        id=party.id, kind=party.kind, roles=party.roles, version=party.version, changed=sorted(changed)
    )


def _words(text: str) -> list[str]:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(character for character in decomposed if not unicodedata.combining(character))
    return _WORD.findall(bare.casefold())
