"""Open forms of the contract's answers, so that what a bank says besides is passed over.

The documents close some of their schemas, and banks add members all the same. From each class a subclass is derived on
first use that passes over what it doesn't know, and checks none of the constraints that are the bank's business. For
the editor and for ``isinstance`` the types remain the contract's.
"""

import functools
import importlib
import typing
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from billfold import errors
from billfold.client._open import opened

__all__ = ["open_form", "reader"]

T = TypeVar("T")

_CONTRACT: Final = "billfold.contract.open_banking"
_AREAS: Final = (
    "common",
    "accounts",
    "transactions",
    "records",
    "statements",
    "products",
    "products_shared",
    "products_personal",
    "products_business",
    "products_other",
    "funds",
    "payments",
    "vrp",
    "events",
)


def reader(cls: type[T]) -> Callable[[bytes], T]:
    """Return what reads an answer through its open form.

    Raises:
        errors.MalformedAnswer: By what is returned, when the answer isn't in the contract's words.
    """
    made: Any = cls
    decode = _decoder(made).decode

    def read(body: bytes) -> T:
        try:
            return decode(body)  # type: ignore[no-any-return]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise errors.MalformedAnswer(f"the answer isn't an {cls.__name__}: {error}") from None

    return read


@functools.cache
def _decoder(cls: Any) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(open_form(cls))


@functools.cache
def open_form(cls: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """Return the open form of one of the contract's classes: a subclass of it, with the same name."""
    hints = typing.get_type_hints(cls)
    return msgspec.defstruct(
        cls.__name__,
        [(each.name, opened(hints[each.name], _opened_class), _field(each)) for each in msgspec.structs.fields(cls)],
        bases=(cls,),
        module=__name__,
        namespace={"__doc__": cls.__doc__},
        frozen=True,
        kw_only=True,
        omit_defaults=True,
        forbid_unknown_fields=False,
    )


def _field(field: msgspec.structs.FieldInfo) -> Any:
    if field.required:
        return msgspec.field(name=field.encode_name)
    if field.default is not msgspec.NODEFAULT:
        return msgspec.field(name=field.encode_name, default=field.default)
    return msgspec.field(name=field.encode_name, default_factory=field.default_factory)


def _opened_class(cls: type[object]) -> type[object]:
    is_answer = cls.__module__.startswith(_CONTRACT)
    return open_form(cls) if is_answer and issubclass(cls, msgspec.Struct) else cls


def __getattr__(name: str) -> type[msgspec.Struct]:
    """Find an open form by its name, which is how pickle brings one back."""
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    for area in _AREAS:
        module = importlib.import_module(f"{_CONTRACT}.{area}")
        if name in module.__all__:
            return open_form(getattr(module, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
