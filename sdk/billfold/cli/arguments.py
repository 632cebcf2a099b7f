"""From the parameters of the SDK's methods to those of commands: how each is written at a terminal, and read."""

import enum
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Union

import click
import msgspec
from msgspec import UNSET, UnsetType

from billfold.money import AmountError, Money, from_decimal, read_decimal

if typing.TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:
    # Before 8.4 it takes no argument.
    ParamType = click.ParamType

__all__ = ["Members", "ParamType", "cleared", "members", "type_of"]

_UNITS: Final = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_WHILE: Final = re.compile(r"(\d{1,6})([dhms])", re.ASCII)


class Members(typing.NamedTuple):
    """What an annotation allows.

    Attributes:
        types: Classes, and generics as they stand.
        values: Of literals and enums, in order.
        optional: Whether None is among them.
        clearable: Whether it is None that clears, and leaving it out that changes nothing.
        unset: Whether leaving it out changes nothing.
    """

    types: list[Any]
    values: list[str]
    optional: bool
    unset: bool

    @property
    def clearable(self) -> bool:
        """Whether there is a value that clears."""
        return self.unset and (self.optional or any(_origin(each) in {Mapping, Sequence} for each in self.types))


def members(annotation: Any) -> Members:
    """Take an annotation apart."""
    found: list[Any] = []
    values: list[str] = []
    flat = list(_flat(annotation))
    for each in flat:
        if typing.get_origin(each) is typing.Literal:
            values += typing.get_args(each)
        elif isinstance(each, type) and issubclass(each, enum.Enum):
            values += [member.value for member in each]
        elif each not in {types.NoneType, UnsetType}:
            found.append(each)
    return Members(found, list(dict.fromkeys(values)), types.NoneType in flat, UnsetType in flat)


def _flat(annotation: Any) -> Iterable[Any]:
    if typing.get_origin(annotation) in {Union, types.UnionType}:
        for each in typing.get_args(annotation):
            yield from _flat(each)
    else:
        yield annotation


def _origin(annotation: Any) -> Any:
    return typing.get_origin(annotation) or annotation


def type_of(found: Members) -> tuple[ParamType, bool]:
    """Return how a parameter is read, and whether it may be given several times."""
    if found.values:
        return click.Choice(found.values), False
    for each in found.types:
        origin = _origin(each)
        if origin in {Sequence, Iterable}:
            (item,) = typing.get_args(each)
            inner = members(item)
            if any(_is_struct(one) for one in inner.types):
                return JsonType(list[item]), False  # type: ignore[valid-type]
            return type_of(inner)[0], True
        if origin is Mapping:
            return (PairType(), True) if typing.get_args(each)[1] is str else (JsonType(dict[str, Any]), False)
        if _is_struct(each) and each is not Money:
            return JsonType(each), False
    return _plain(found.types), False


def _is_struct(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, msgspec.Struct)


def _plain(types_: list[Any]) -> ParamType:
    chosen: dict[Any, Callable[[], ParamType]] = {
        Money: MoneyType,
        datetime: InstantType,
        timedelta: WhileType,
        bytes: lambda: click.File("rb"),
        bool: lambda: click.BOOL,
    }
    for cls, make in chosen.items():
        if cls in types_:
            return make()
    if types_ == [int]:
        return click.INT
    return VersionType() if int in types_ else click.STRING


class MoneyType(ParamType):
    """An amount with its currency, or without it where an option of its own says that."""

    name = "amount"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:  # noqa: ARG002
        """Show the form in help."""
        return '"12.50 EUR"'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Take an amount apart."""
        number, _, currency = str(value).strip().partition(" ")
        try:
            read_decimal(number)
            if currency:
                from_decimal(number, currency)
        except AmountError as error:
            self.fail(str(error), param, ctx)
        return number, currency


class InstantType(ParamType):
    """An instant as RFC 3339 has it; a date alone is its first moment in UTC."""

    name = "instant"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:  # noqa: ARG002
        """Show the form in help."""
        return "2026-11-20T12:00:00Z"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read an instant."""
        if isinstance(value, datetime):
            return value
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no instant such as 2026-11-20T12:00:00Z", param, ctx)
        if instant.tzinfo is None:
            if "T" in value or " " in value:
                self.fail(f"{value!r} doesn't tell its zone; end it with Z for UTC", param, ctx)
            instant = instant.replace(tzinfo=UTC)
        return instant


class WhileType(ParamType):
    """A while, such as 90d or 1d12h."""

    name = "while"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:  # noqa: ARG002
        """Show the form in help."""
        return "1d12h30m"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read a while."""
        if isinstance(value, timedelta):
            return value
        parts = _WHILE.findall(value)
        if not parts or "".join(map("".join, parts)) != value:
            self.fail(f"{value!r} is no while such as 90d, 12h or 1d12h30m", param, ctx)
        return sum((timedelta(**{_UNITS[unit]: int(number)}) for number, unit in parts), timedelta())


class PairType(ParamType):
    """A key and a value."""

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Take a pair apart."""
        if isinstance(value, tuple):
            return value
        key, equals, text = value.partition("=")
        if not key or not equals:
            self.fail(f"{value!r} is no key=value", param, ctx)
        return key, text


class VersionType(ParamType):
    """A version, or an entity tag in quotes."""

    name = "version"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:  # noqa: ARG002
        """Read a version."""
        return int(value) if str(value).isdecimal() else str(value)


class JsonType(ParamType):
    """A JSON document: as it stands, from a file (``@file``), or from standard input (``-``).

    Args:
        cls: What it must be.
    """

    name = "json"

    def __init__(self, cls: Any) -> None:
        self._cls = cls

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:  # noqa: ARG002
        """Show the forms in help."""
        return "JSON|@FILE|-"

    def fields(self) -> str:
        """Return in words which fields a document has; nothing where they are the caller's own."""
        flat = [_origin(each) for each in _flat(self._cls)]
        several = list in flat
        if several:
            flat = [_origin(each) for argument in typing.get_args(self._cls) for each in _flat(argument)]
        told = [_fields_of(each) for each in flat if _is_struct(each)]
        if not told:
            return ""
        return f"JSON: {'a list of documents' if several else 'a document'} with {', or with '.join(told)}."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read a document."""
        if not isinstance(value, str):
            return value
        try:
            return msgspec.json.decode(text_of(value), type=self._cls)
        except OSError as error:
            self.fail(f"{value[1:]} can't be read ({error.strerror})", param, ctx)
        except msgspec.ValidationError as error:
            self.fail(str(error), param, ctx)
        except RecursionError:
            self.fail("that nests too deep", param, ctx)
        except (msgspec.DecodeError, ValueError) as error:
            self.fail(f"that isn't JSON ({error}); @FILE reads it from a file, - from standard input", param, ctx)


def _fields_of(cls: type[msgspec.Struct]) -> str:
    fields = msgspec.structs.fields(cls)
    needed = ", ".join(_field(each) for each in fields if each.required)
    further = ", ".join(_field(each) for each in fields if not each.required)
    if not needed:
        return f"any of {further}"
    return f"{needed}, and perhaps {further}" if further else needed


def _field(field: msgspec.structs.FieldInfo) -> str:
    """Return a field's name, with those of the document that it is."""
    below = next((each for each in _flat(_bare(field.type)) if _is_struct(each)), None)
    if below is None:
        return _valued(field)
    return f"{field.encode_name} {{{', '.join(map(_valued, msgspec.structs.fields(below)))}}}"


def _valued(field: msgspec.structs.FieldInfo) -> str:
    """Return a field's name, with what may stand there where that is one of a few words."""
    for each in _flat(_bare(field.type)):
        if isinstance(each, type) and issubclass(each, enum.StrEnum):
            return f"{field.encode_name} ({' | '.join(each)})"
    return field.encode_name


def _bare(annotation: Any) -> Any:
    """Return an annotation without what is said of its values."""
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) is typing.Annotated else annotation


def text_of(value: str) -> bytes:
    """Return what a JSON argument says, or refers to.

    Raises:
        OSError: The file can't be read.
    """
    if value == "-":
        return sys.stdin.buffer.read()
    return Path(value[1:]).read_bytes() if value.startswith("@") else value.encode()


CLEARED: Final = {Mapping: dict, Sequence: list}


def cleared(found: Members) -> Any:
    """Return the value that clears a parameter."""
    if found.optional:
        return None
    return next((CLEARED[origin]() for each in found.types if (origin := _origin(each)) in CLEARED), UNSET)
