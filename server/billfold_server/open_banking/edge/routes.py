"""How an area's operations are declared, by their official paths alone."""

import dataclasses
import re
from collections.abc import Callable
from typing import Final, TypeVar, Unpack

from billfold.contract.open_banking.base import wire_name
from billfold_server.http.routing import Handler, Method, Options, Routes, Signature
from billfold_server.open_banking.edge.dialect import OpenBankingDialect
from billfold_server.open_banking.edge.interface import INTERFACE, Area, root_of

__all__ = ["HIDDEN", "RESOURCE", "OpenBankingRoutes"]

H = TypeVar("H", bound=Handler)

RESOURCE: Final = "/open-banking"
"""For which resource third parties' tokens are."""

HIDDEN: Final = frozenset({"page"})
"""Query parameters of our own, which nobody makes up: they stand in the links of an answer."""

_PARAMETER: Final = re.compile(r"\{(\w+)\}")


class OpenBankingRoutes(Routes):
    """The operations of one area, as far as one room serves them.

    Args:
        area: The area.
        tag: The heading under which the document shows them.
        description: What they are about.
    """

    def __init__(self, area: Area, *, tag: str, description: str) -> None:
        super().__init__(tag=tag, description=description)
        self.area: Area = area

    def operation(self, method: Method, path: str, **options: Unpack[Options]) -> Callable[[H], H]:
        """Declare an operation by its official path, such as ``/accounts/{AccountId}``.

        A handler takes ``account_id`` for that; ``errors`` and ``hot`` are all that it may declare beside.

        Raises:
            KeyError: The standard knows no such operation.
        """
        declared = INTERFACE[self.area, method, path]
        said: Options = {
            "operation_id": declared.operation_id,
            "scope": declared.scopes[0],
            "other_scopes": declared.scopes[1:],
            "resource": RESOURCE,
            "customers": declared.of_customer,
            "status": declared.success,
            "surface": "open_banking",
            "open_query": True,
            # The document of this interface is one of its own.
            "in_document": False,
            "dialect": OpenBankingDialect(declared),
            "response_media_type": "application/json; charset=utf-8",
            **options,
        }
        declare = super().operation(method, root_of(self.area) + _PARAMETER.sub(_in_words, path), **said)

        def declare_renamed(handler: H) -> H:
            declare(handler)
            made = self.operations[-1]
            self.operations[-1] = dataclasses.replace(made, signature=_renamed(made.signature))
            return handler

        return declare_renamed

    def put(self, path: str, **options: Unpack[Options]) -> Callable[[H], H]:
        """Declare a PUT."""
        return self.operation("PUT", path, **options)


_WORD: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z]|$)|[A-Z][a-z]+")


def _in_words(match: re.Match[str]) -> str:
    name = "_".join(_WORD.findall(match.group(1))).lower()
    assert wire_name(name) == match.group(1), "the official name follows from its words"
    return f"{{{name}}}"


def _renamed(signature: Signature) -> Signature:
    """Return a signature whose query parameters have their official names: ``fromBookingDateTime``."""
    names = {name: _camel_case(name) for name in signature.query_types}
    return dataclasses.replace(
        signature,
        query_types={names[name]: kind for name, kind in signature.query_types.items()},
        query_defaults={names[name]: default for name, default in signature.query_defaults.items()},
        python_names={names[name]: python for name, python in signature.python_names.items()},
    )


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
