"""What an answer refers to, told together with it: the query parameter ``expand``.

The contract declares it, and nothing else does: a type of answers with a member ``expanded`` may be asked for together
with what it refers to, and the members of that member's type say with what. Each GET of such a type, one or a page of
them, takes ``expand`` from then on. How things of a kind are found is said once, by their room (``Expander``).

One step deep: what is told so isn't expanded itself. However many a page has, each kind is found by one question.
"""

import types
import typing
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract.common import Expanded, Page, Response
from billfold.ids import Prefix
from billfold_server.http.reading import validation_failed

if TYPE_CHECKING:
    from billfold_server.http.routing import Call

__all__ = ["EXPANDERS", "PARAMETER", "Expander", "Expansion"]

PARAMETER: Final = "expand"
EXPANDERS: Final = "expanders"
"""Under which name the process keeps how things are found: ``Expander`` by the contract's type."""

_MEMBER: Final = "expanded"

Find = Callable[["Call", Sequence[UUID]], Awaitable[Mapping[UUID, Response]]]
"""Finds things of a kind by their ids, all at once, as the API shows them. What there isn't is left out."""


class Expander(NamedTuple):
    """How things of a kind are told together with what refers to them.

    Attributes:
        prefix: Of their ids.
        scope: What one must be allowed to be told.
        find: Finds them.
    """

    prefix: Prefix
    scope: str
    find: Find


class Expansion:
    """What ``expand`` may ask for at one operation.

    Args:
        answer: The type of what is answered, or of the items of a page.
    """

    def __init__(self, answer: type[Response]) -> None:
        hints = typing.get_type_hints(answer)
        self._type: type[Expanded] = hints[_MEMBER]
        self.kinds: Mapping[str, type[Response]] = {
            name: _kind(hint) for name, hint in typing.get_type_hints(self._type).items()
        }
        """The kind of what each name stands for."""
        if missing := [name for name in self.kinds if f"{name}_id" not in hints]:
            msg = f"{answer.__name__} has nothing by which {missing} could be found"
            raise TypeError(msg)

    @classmethod
    def of(cls, response: Any) -> "Expansion | None":
        """Return what may be asked for where a type is answered, or None."""
        if typing.get_origin(response) is Page:
            (response,) = typing.get_args(response)
        shown = isinstance(response, type) and issubclass(response, Response)
        return cls(response) if shown and _MEMBER in response.__struct_fields__ else None

    @property
    def schema(self) -> dict[str, Any]:
        """Return the parameter's schema."""
        names = {"type": "string", "enum": list(self.kinds)}
        return {"type": "array", "items": names, "minItems": 1, "maxItems": len(self.kinds), "uniqueItems": True}

    def read(self, text: str) -> tuple[str, ...]:
        """Return what is asked for.

        Raises:
            errors.ValidationFailed: Something that can't be, or twice, or nothing.
        """
        names = tuple(text.split(","))
        if not self.kinds.keys() >= {*names}:
            raise validation_failed(PARAMETER, f"takes {', '.join(self.kinds)}, separated by commas")
        if len({*names}) < len(names):
            raise validation_failed(PARAMETER, "names something twice")
        return names

    def lacks(self, call: "Call", names: Sequence[str]) -> str | None:
        """Return the first scope without which who asks may not be told of something that it asks for, or None."""
        needed = (self._expander(call, name).scope for name in names)
        return next((scope for scope in needed if scope not in call.caller.scopes), None)

    async def tell(self, call: "Call", body: Any, names: Sequence[str]) -> Any:
        """Return an answer's body together with what it refers to.

        Args:
            call: The request.
            body: One thing, or a page of them.
            names: What is asked for.
        """
        shown = body.data if isinstance(body, Page) else [body]
        found: dict[type[Response], Mapping[UUID, Response]] = {}
        for kind in dict.fromkeys(self.kinds[name] for name in names):
            expander = call.services.rooms[EXPANDERS][kind]
            wanted = [id_ for each in shown for name in names if self.kinds[name] is kind and (id_ := _id(each, name))]
            keys = [ids.decode(expander.prefix, id_) for id_ in dict.fromkeys(wanted)]
            found[kind] = await expander.find(call, keys) if keys else {}
        told = [msgspec.structs.replace(each, expanded=self._expanded(call, each, names, found)) for each in shown]
        return msgspec.structs.replace(body, data=told) if isinstance(body, Page) else told[0]

    def _expanded(
        self, call: "Call", shown: Any, names: Sequence[str], found: Mapping[type[Response], Mapping[UUID, Response]]
    ) -> Expanded:
        there = {}
        for name in names:
            if (id_ := _id(shown, name)) is not None:
                key = ids.decode(self._expander(call, name).prefix, id_)
                there[name] = found[self.kinds[name]].get(key)
        return self._type(**there)

    def _expander(self, call: "Call", name: str) -> Expander:
        expander: Expander = call.services.rooms[EXPANDERS][self.kinds[name]]
        return expander


def _kind(hint: Any) -> type[Response]:
    """Return of which kind a member is, which may be absent."""
    kind: type[Response]
    (kind,) = (each for each in typing.get_args(hint) if each is not types.NoneType)
    return kind


def _id(shown: Any, name: str) -> str | None:
    id_: str | None = getattr(shown, f"{name}_id")
    return id_
