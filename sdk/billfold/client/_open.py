"""Open types: how the client reads what the server answers, so that an older SDK survives a newer server.

The contract's responses are closed. From each, an open one is derived here, on first use: a subclass that ignores
fields which it doesn't know, checks none of the constraints that are the server's business, and turns a value that
an enum doesn't know into a member of that enum which is called ``UNKNOWN``. For the editor, for ``isinstance`` and for
``match`` the types remain the contract's.
"""

import copyreg
import functools
import importlib
import typing
from abc import ABCMeta
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union

import msgspec

from billfold import errors
from billfold.contract.common import Page, Response
from billfold.money import Money, SignedMoney

__all__ = ["Decode", "decoder", "is_known", "open_type", "opened", "page_type"]

Decode = Callable[[bytes], Any]
"""Reads the body of an answer."""

_MODULES: Final = (
    "account_statements",
    "approvals",
    "arrangements",
    "bookings",
    "parties",
    "partner_sandboxes",
    "partners",
    "payments",
    "privacy",
    "wallets",
    "ledger",
    "statements",
    "platform",
    "oauth",
    "clients",
    "card_sessions",
    "consents",
    "requests",
    "sandbox",
    "data_keys",
    "event_data",
    "event_notifications",
    "events",
    "operators",
    "tokens",
    "users",
    "webhooks",
    "common",
)
_PAGE: Final = "Page"
_UNKNOWN: Final = "UNKNOWN"


def is_known(value: StrEnum) -> bool:
    """Tell whether this version of the SDK knows a value that the server sent.

    An unknown one compares equal to its text, ``value.value`` is that text, and its name is ``UNKNOWN``.
    """
    return value.value in {member.value for member in type(value)}


def decoder(cls: type[Response]) -> Decode:
    """Return what reads an answer of the contract's type (or a page made by ``page_type``) through its open type.

    Raises:
        errors.MalformedAnswer: By what is returned, when the answer isn't in the contract's words.
    """
    decode = _decoder(cls).decode

    def read(body: bytes) -> Any:
        try:
            return decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise errors.MalformedAnswer(f"the answer isn't a {cls.__name__}: {error}") from None

    return read


@functools.cache
def _decoder(cls: type[Response]) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(cls if cls.__module__ == __name__ else open_type(cls), dec_hook=_decode_custom)


@functools.cache
def open_type(cls: type[Response]) -> type[Response]:
    """Return the open type of one of the contract's responses: a subclass of it, with the same name."""
    hints = typing.get_type_hints(cls)
    return _derive(cls.__name__, cls, {name: hints[name] for name in cls.__struct_fields__})


@functools.cache
def page_type(item: type[Response]) -> type[Response]:
    """Return the open type of a page of such items, a subclass of the contract's ``Page``."""
    return _derive(f"{item.__name__}{_PAGE}", Page, {"data": list[item], "next_cursor": str | None})  # type: ignore[valid-type]


def _derive(name: str, base: type[Response], hints: dict[str, Any]) -> type[Response]:
    defaults = {
        field.name: msgspec.field(default=field.default)
        if field.default is not msgspec.NODEFAULT
        else msgspec.field(default_factory=field.default_factory)
        for field in msgspec.structs.fields(base)
        if not field.required
    }
    fields: list[Any] = [
        (each, opened(hint, _opened_class), defaults[each]) if each in defaults else (each, opened(hint, _opened_class))
        for each, hint in hints.items()
    ]
    derived = msgspec.defstruct(
        name,
        fields,
        bases=(base,),
        module=__name__,
        namespace={"__doc__": base.__doc__},
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=False,
    )
    assert issubclass(derived, Response)
    return derived


def opened(hint: Any, open_class: Callable[[type[object]], type[object]]) -> Any:
    """Return a type annotation with every closed type in it replaced by its open one.

    Args:
        hint: The annotation.
        open_class: Returns the open one of a class; the class itself where it needs none.
    """
    origin = typing.get_origin(hint)
    if origin is Literal:
        # The contract's literals are texts, and whoever is newer may know more of them.
        return str
    if origin is not None:
        inner = tuple(opened(each, open_class) for each in typing.get_args(hint))
        if origin in {Union, UnionType}:
            return functools.reduce(lambda left, right: Union[left, right], inner)  # noqa: UP007  # Operands may be generic.
        return origin[inner]
    if hint is datetime:
        # A naive instant would be a trap for whoever compares it.
        return Annotated[datetime, msgspec.Meta(tz=True)]
    return open_class(hint) if isinstance(hint, type) else hint


def _opened_class(cls: type[object]) -> type[object]:
    if issubclass(cls, Response):
        return open_type(cls)
    if issubclass(cls, StrEnum):
        return _open_enum(cls)
    return _open_money(cls) if cls in {Money, SignedMoney} else cls


# msgspec hands a type that it doesn't know to a hook, and checks that the result is an instance of it. An abstract base
# class is such a type, and the contract's own class is registered as its virtual subclass.

_readers: dict[type[Any], Callable[[Any], Any]] = {}


def _decode_custom(placeholder: type[Any], value: Any) -> Any:
    return _readers[placeholder](value)


@functools.cache
def _open_enum(cls: type[StrEnum]) -> type[Any]:
    """Return a type that stands for an enum to which a newer server may have added values."""
    known = {member.value: member for member in cls}

    def read(value: Any) -> StrEnum:
        member = known.get(value)
        return member if member is not None else _unknown(cls, value)

    # Python looks an enum's member up by its value when it is unpickled, which an unknown one isn't found by.
    copyreg.pickle(cls, lambda member: (_restore, (cls, member.value)))
    return _placeholder(cls, read)


def _restore(cls: type[StrEnum], value: str) -> StrEnum:
    return next((member for member in cls if member.value == value), None) or _unknown(cls, value)


def _unknown(cls: type[StrEnum], value: Any) -> StrEnum:
    """Make a member that the enum itself doesn't list, as ``enum.Flag`` does for combinations."""
    if not isinstance(value, str):
        raise msgspec.ValidationError(f"Expected `str`, got `{type(value).__name__}`")
    member = str.__new__(cls, value)
    member._name_, member._value_ = _UNKNOWN, value
    return member


@functools.cache
def _open_money(cls: type[Any]) -> type[Any]:
    """Return a type that stands for money in a currency that a newer server may have added."""

    def read(value: Any) -> Any:
        try:
            amount_minor, currency = value["amount_minor"], value["currency"]
        except (TypeError, KeyError):
            raise msgspec.ValidationError("Expected an amount of money") from None
        if type(amount_minor) is not int or type(currency) is not str:
            raise msgspec.ValidationError("Expected whole minor units and a currency")
        # The contract's own class, so that `transfer.amount == Money(1250, "EUR")` holds.
        return cls(amount_minor, currency)

    return _placeholder(cls, read)


def _placeholder(cls: type[Any], read: Callable[[Any], Any]) -> type[Any]:
    placeholder = ABCMeta(cls.__name__, (), {})
    placeholder.register(cls)
    _readers[placeholder] = read
    return placeholder


def __getattr__(name: str) -> type[Response]:
    """Find an open type by its name, which is how pickle brings one back."""
    if name.startswith("_"):
        # Each `from … import` asks for `__path__`, which all of the contract shall not be loaded for.
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    for module in _MODULES:
        contract = importlib.import_module(f"billfold.contract.{module}")
        if name in contract.__all__:
            return open_type(getattr(contract, name))
        if name.endswith(_PAGE) and name.removesuffix(_PAGE) in contract.__all__:
            return page_type(getattr(contract, name.removesuffix(_PAGE)))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
