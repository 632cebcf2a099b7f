"""What of a message is shown: decided by the types of the contract, and by nothing that a message says of itself.

A value is shown if its type has few or no words of its own: a number, a truth value, a time, an id, a currency, one of
a closed list. Whatever is text is withheld, save a handful of members of answers in which only the server's own words
stand (``_OWN_WORDS``). And whatever the rooms' inventories name as personal shows ids at most, of whatever type it is.
So a member that somebody adds to the contract is withheld until its type says that it needn't be.
"""

import re
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import inspect

from billfold import ids
from billfold.contract import (
    approvals,
    common,
    consents,
    ledger,
    payments,
    platform,
    requests,
    statements,
    webhooks,
)
from billfold.contract.requests import CUT, UNKNOWN_MEMBERS, WITHHELD
from billfold.ids import Prefix
from billfold.money import CURRENCIES, CurrencyCode

__all__ = ["ANSWERED", "KEPT_CHARACTERS", "SENT", "Left", "Redaction", "Show", "shown_headers"]

KEPT_CHARACTERS: Final = 16_000
"""Of a body, as it is shown."""

_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,79}")
_LONG_NUMBER: Final = re.compile(r"[0-9]{7}")
_ID: Final = re.compile(rf"(?:{'|'.join(Prefix)})_[0-7][0123456789abcdefghjkmnpqrstvwxyz]{{25}}")
_INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LARGEST: Final = 10**10
"""A number of more digits may be a card's or an account's, wherever it stands."""

_FACT: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_IDS: Final = frozenset(ids.pattern(prefix) for prefix in Prefix)
_CURRENCY: Final = inspect.type_info(CurrencyCode)
_CURRENCIES: Final = frozenset({"currency", "currencies"})

_OWN_WORDS: Final[Mapping[type[msgspec.Struct], str]] = {
    approvals.Approval: "kind",
    approvals.RequestedOperation: "operation_id",
    common.Problem: "code",
    consents.Consent: "permissions",
    consents.ConsentRecord: "permissions",
    consents.ConsentStep: "event",
    ledger.JournalEntry: "kind",
    payments.Payment: "kind rail",
    platform.AuditRecord: "action",
    platform.Event: "type",
    platform.TenantInfo: "slug features",
    requests.LoggedRequest: "method operation code",
    statements.StatementEntry: "status matched_by",
    webhooks.WebhookDelivery: "event_type last_result",
    webhooks.WebhookDeliveryRecord: "event_type last_result",
}
"""Members of answers in which words stand that the server itself has, and nobody else's."""

_OWN_DAYS: Final[Mapping[type[msgspec.Struct], str]] = {
    statements.ImportedStatement: "opening_date closing_date",
    statements.StatementEntry: "booking_date value_date",
}
"""Members that hold days on which money moved; any other day may be somebody's day of birth."""

_OWN_TEXTS: Final[Mapping[type[msgspec.Struct], str]] = {
    common.Problem: "type title detail param",
    common.Violation: "param reason",
}
"""Members that hold the server's own sentences, which never repeat what was sent."""


class Left:
    """How much of a body is still kept, and whether anything was left out for that.

    Args:
        characters: How much at first.
    """

    __slots__ = ("characters", "cut")

    def __init__(self, characters: int = KEPT_CHARACTERS) -> None:
        self.characters = characters
        self.cut = False

    def take(self, characters: int) -> bool:
        """Take so many, or tell that there aren't so many left."""
        self.characters -= characters
        if self.characters < 0:
            self.cut = True
        return not self.cut


Show = Callable[[Any, Left], Any]
"""Returns what is shown of a JSON value."""


def _withhold(value: Any, _left: Left) -> Any:
    """Show nothing; not even how much there would be, but for where there is nothing at all."""
    return value if value is None or value in ({}, []) else WITHHELD


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _show_ids(value: Any, left: Left) -> Any:
    """Show an id, or ids in a list, and nothing else."""
    if type(value) is list:
        return _list(value, left, _show_ids)
    return value if _is_id(value) and left.take(len(value)) else _withhold(value, left)


def _show_truth(value: Any, _left: Left) -> Any:
    return value if value is None or type(value) is bool else WITHHELD


def _show_number(value: Any, left: Left) -> Any:
    if value is None:
        return None
    return value if type(value) is int and abs(value) < _LARGEST and left.take(10) else WITHHELD


def _show_matching(pattern: re.Pattern[str]) -> Show:
    def show(value: Any, left: Left) -> Any:
        if value is None:
            return None
        known = type(value) is str and pattern.fullmatch(value) is not None
        return value if known and left.take(len(value)) else WITHHELD

    return show


def _show_among(values: Collection[Any]) -> Show:
    known = frozenset(values)

    def show(value: Any, left: Left) -> Any:
        if value is None:
            return None
        return value if type(value) in {str, int} and value in known and left.take(len(str(value))) else WITHHELD

    return show


def _show_words(value: Any, left: Left) -> Any:
    """Show the server's own words; a run of digits may be somebody's number even so."""
    if type(value) is list:
        return _list(value, left, _show_words)
    if value is None:
        return None
    is_word = type(value) is str and _WORD.fullmatch(value) and (_is_id(value) or not _LONG_NUMBER.search(value))
    return value if is_word and left.take(len(value)) else WITHHELD


def _show_text(value: Any, left: Left) -> Any:
    if value is None:
        return None
    return value if type(value) is str and left.take(len(value)) else WITHHELD


def _list(value: list[Any], left: Left, show: Show) -> list[Any]:
    shown: list[Any] = []
    for each in value:
        # What is withheld is written as a word all the same.
        if not left.take(len(WITHHELD) + 3):
            shown.append(CUT)
            break
        shown.append(show(each, left))
    return shown


def _object(value: Mapping[str, Any], left: Left, member_of: Callable[[str], Show | None]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    unknown = 0
    for place, (name, each) in enumerate(value.items()):
        show = member_of(name)
        if show is None:
            unknown += 1
            continue
        if not left.take(len(name) + len(WITHHELD) + 6):
            shown[CUT] = len(value) - place
            break
        shown[name] = show(each, left)
    if unknown:
        shown[UNKNOWN_MEMBERS] = unknown
    return shown


_SHOW_ID: Final = _show_matching(_ID)
_SHOW_INSTANT: Final = _show_matching(_INSTANT)
_SHOW_DAY: Final = _show_matching(_DAY)
_SHOW_CURRENCY: Final = _show_among(CURRENCIES)


def _show_facts(value: Any, left: Left) -> Any:
    """Show what a problem says for programs; its names and words are those of its class."""
    if type(value) is not dict:
        return _withhold(value, left)
    return _object(value, left, lambda name: _show_fact if _FACT.fullmatch(name) else None)


def _show_fact(value: Any, left: Left) -> Any:
    for each in (_show_truth, _show_number, _SHOW_INSTANT, _show_words):
        if (shown := each(value, left)) != WITHHELD:
            return shown
    return WITHHELD


def _own() -> dict[type, dict[str, Show]]:
    """Return what shows members of answers in which the server's own words, days and sentences stand."""
    found: dict[type, dict[str, Show]] = {}
    for declared, show in ((_OWN_WORDS, _show_words), (_OWN_DAYS, _SHOW_DAY), (_OWN_TEXTS, _show_text)):
        for owner, names in declared.items():
            found.setdefault(owner, {}).update(dict.fromkeys(names.split(), show))
    found[common.Problem]["facts"] = _show_facts
    return found


_OWN: Final = _own()


class Redaction:
    """Makes, of a type of the contract, what shows messages of that type.

    Args:
        personal: The names of members that tell of people, by the inventories of all rooms.
    """

    def __init__(self, personal: Collection[str]) -> None:
        self._personal = frozenset(personal)
        self._structs: dict[int, tuple[inspect.StructType, dict[str, Show]]] = {}

    def of(self, annotation: Any) -> Show:
        """Return what shows messages of a type."""
        return self._of(inspect.type_info(annotation))

    def of_parameter(self, name: str, annotation: Any) -> Show:
        """Return what shows a parameter of a path or query, which comes as text."""
        show = self._member(name, inspect.type_info(annotation), None)

        def show_text(value: Any, left: Left) -> Any:
            if re.fullmatch(r"-?[0-9]{1,10}", value) and show(int(value), left) != WITHHELD:
                return value
            if value in {"true", "false"}:
                return value if show(value == "true", left) != WITHHELD else WITHHELD
            return show(value, left)

        return show_text

    def _of(self, kind: inspect.Type) -> Show:
        match kind:
            case inspect.Metadata():
                return self._of(kind.type)
            case inspect.UnionType():
                return self._any_of([each for each in kind.types if not isinstance(each, inspect.NoneType)])
            case inspect.StructType():
                return self._struct(kind)
            case inspect.ListType():
                return self._items(self._of(kind.item_type))
            case inspect.DictType():
                return self._dict(kind)
            case _:
                return _leaf(kind)

    def _items(self, show: Show) -> Show:
        return lambda value, left: _list(value, left, show) if type(value) is list else _withhold(value, left)

    def _dict(self, kind: inspect.DictType) -> Show:
        """Show a mapping whose names are of a closed list; others are whoever's own."""
        names, values = _leaf(_plain(kind.key_type)), self._of(kind.value_type)
        if names is _withhold:
            return _withhold

        def member_of(name: str) -> Show | None:
            return values if names(name, Left()) == name else None

        return lambda value, left: _object(value, left, member_of) if type(value) is dict else _withhold(value, left)

    def _any_of(self, kinds: Sequence[inspect.Type]) -> Show:
        """Show what any of several types shows, if it is one of several objects by the tag that it has."""
        plain = [_plain(each) for each in kinds]
        tagged = {each.tag: self._of(each) for each in plain if isinstance(each, inspect.StructType) and each.tag}
        fields = {each.tag_field for each in plain if isinstance(each, inspect.StructType) and each.tag}
        others = [self._of(each) for each in plain if not (isinstance(each, inspect.StructType) and each.tag)]
        if len(others) == 1 and not tagged:
            return others[0]

        def show(value: Any, left: Left) -> Any:
            if type(value) is dict and tagged:
                found = [tagged[tag] for field in fields if (tag := value.get(field)) in tagged]
                return found[0](value, left) if found else _withhold(value, left)
            for each in others:
                if (shown := each(value, left)) != WITHHELD:
                    return shown
            return _withhold(value, left)

        return show

    def _struct(self, kind: inspect.StructType) -> Show:
        if id(kind) not in self._structs:
            # It is known before its members are, for one of them may hold others of its kind.
            _, members = self._structs[id(kind)] = kind, {}
            if kind.tag_field is not None:
                members[kind.tag_field] = _show_among([kind.tag])
            members |= {each.encode_name: self._member(each.encode_name, each.type, kind.cls) for each in kind.fields}
        member_of = self._structs[id(kind)][1].get
        return lambda value, left: _object(value, left, member_of) if type(value) is dict else _withhold(value, left)

    def _member(self, name: str, kind: inspect.Type, owner: type | None) -> Show:
        said = {} if owner is None else _OWN.get(owner, {})
        if name in said:
            return said[name]
        # What a page holds is judged by itself.
        if name in self._personal and typing.get_origin(owner) is not common.Page:
            return _show_ids
        show = self._of(kind)
        if name in _CURRENCIES:
            return self._items(_SHOW_CURRENCY) if isinstance(_bare(kind), inspect.ListType) else _SHOW_CURRENCY
        return show


def _plain(kind: inspect.Type) -> inspect.Type:
    return _plain(kind.type) if isinstance(kind, inspect.Metadata) else kind


def _bare(kind: inspect.Type) -> inspect.Type:
    """Return the type without what is said of it, and without null."""
    kind = _plain(kind)
    if isinstance(kind, inspect.UnionType):
        kinds = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
        return _bare(kinds[0]) if len(kinds) == 1 else kind
    return kind


def _leaf(kind: inspect.Type) -> Show:
    """Return what shows values that hold no others."""
    match kind:
        case inspect.EnumType():
            return _show_among([each.value for each in kind.cls])
        case inspect.LiteralType():
            return _show_among(kind.values)
        case inspect.StrType() if kind == _plain(_CURRENCY):
            return _SHOW_CURRENCY
        case inspect.StrType() if kind.pattern is None or kind.pattern in _IDS:
            return _SHOW_ID
        case _:
            return _OF_KIND.get(type(kind), _withhold)


_OF_KIND: Final[Mapping[type[inspect.Type], Show]] = {
    inspect.BoolType: _show_truth,
    inspect.DateTimeType: _SHOW_INSTANT,
    inspect.IntType: _show_number,
    inspect.NoneType: _show_truth,
}


# Headers.

_MEDIA_TYPES: Final = frozenset(
    {
        "*/*",
        "application/*",
        "application/jose",
        "application/json",
        "application/jwt",
        "application/octet-stream",
        "application/pdf",
        "application/problem+json",
        "application/x-www-form-urlencoded",
        "text/csv",
        "text/html",
    }
)
_MEDIA_TYPE: Final = re.compile("|".join(re.escape(each) for each in sorted(_MEDIA_TYPES)))
_VERSION: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LENGTH: Final = re.compile(r"[0-9]{1,9}")
_ENTITY_TAG: Final = re.compile(r'"[0-9]{1,9}"')
_NOTHING: Final = re.compile(r"(?!)")

SENT: Final[Mapping[str, re.Pattern[str]]] = {
    "accept": _MEDIA_TYPE,
    "billfold-version": _VERSION,
    "content-length": _LENGTH,
    "content-type": _MEDIA_TYPE,
    # A key is whatever the caller likes, so it is only told that there was one.
    "idempotency-key": _NOTHING,
    "if-match": re.compile(r'"[0-9]{1,9}"|\*'),
    "user-agent": re.compile(r"billfold-python/[0-9.]{1,20}( python/[0-9.]{1,20})?"),
}
"""The headers of requests that are kept, with the values that are shown."""

ANSWERED: Final[Mapping[str, re.Pattern[str]]] = {
    "billfold-version": _VERSION,
    "content-length": _LENGTH,
    "content-type": _MEDIA_TYPE,
    "deprecation": re.compile(r"@[0-9]{1,10}"),
    "etag": _ENTITY_TAG,
    "idempotent-replayed": re.compile("true"),
    "ratelimit": re.compile(r'"client";r=[0-9]+;t=[0-9]+'),
    "ratelimit-policy": re.compile(r'"client";q=[0-9]+;w=[0-9]+'),
    "retry-after": re.compile(r"[0-9]{1,6}"),
    "sunset": re.compile(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT"),
}
"""The same of answers."""

_FIRST: Final = re.compile(r"[,;]")
_LISTS: Final = frozenset({"accept", "content-type"})


def shown_headers(headers: Mapping[str, str], kept: Mapping[str, re.Pattern[str]]) -> dict[str, str]:
    """Return the headers that are kept, each with its value or the sign that it has one.

    Of media types the first one is shown, without its parameters.

    Args:
        headers: By lower-case name.
        kept: ``SENT`` or ``ANSWERED``.
    """
    shown = {}
    for name, pattern in kept.items():
        value = headers.get(name)
        if value is not None:
            value = _FIRST.split(value, maxsplit=1)[0].strip() if name in _LISTS else value.strip()
            shown[name] = value if pattern.fullmatch(value) else WITHHELD
    return shown
