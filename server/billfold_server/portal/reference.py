"""The API's reference, made of the operations as they are declared, one page each.

It says what the OpenAPI document says, of which each operation's part is made alone: the whole is some megabytes, and
nobody reads it on one page. What calls an operation from Python and from the command line is a file beside this one,
made of the SDK's own methods by ``tests/server/portal/generate_snippets.py``.
"""

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from markupsafe import Markup

from billfold_server.http import docs
from billfold_server.http.openapi import build_operation, refusals_of
from billfold_server.http.routing import Call, Operation, Routes

__all__ = [
    "Body",
    "Example",
    "Line",
    "OperationPage",
    "Parameter",
    "Part",
    "Reference",
    "Refusal",
    "Tag",
    "reference_of",
]

_ROOM: Final = "portal reference"
_SNIPPETS: Final = Path(__file__).with_name("snippets.json")
_SHOWN: Final = frozenset({"tenant", "tenant-public"})
_DEEPEST: Final = 6
_FACTS: Final = {
    "minimum": "at_least",
    "maximum": "at_most",
    "minLength": "at_least_characters",
    "maxLength": "at_most_characters",
    "minItems": "at_least_items",
    "maxItems": "at_most_items",
    "pattern": "pattern",
    "default": "default",
}
"""Which constraints are shown, by the words for them."""


_SAYS_NOTHING: Final = ("[^\\u0000]", "0123456789abcdefghjkmnpqrstvwxyz", "AED|AFN", "[!#-")
"""Parts of patterns that are said elsewhere: no NUL, an id, a currency, a key."""


class Line(msgspec.Struct, frozen=True):
    """An operation in a list.

    Attributes:
        id: Its id, which is its address.
        method: Its method.
        path: Its path.
        summary: What it does, in a few words.
        deprecated: Whether programs should no longer use it.
    """

    id: str
    method: str
    path: str
    summary: str
    deprecated: bool


class Tag(msgspec.Struct, frozen=True):
    """A part of the API.

    Attributes:
        name: What it is called.
        description: What it is about, as prose.
        anchor: By what a link finds it.
        lines: Its operations.
    """

    name: str
    description: str
    anchor: str
    lines: list[Line]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A value, and what it is made of.

    Attributes:
        name: Of the member; empty for what is an item or a whole.
        kind: What it is.
        required: Whether it must be there.
        nullable: Whether it may be null.
        description: What it means, as prose; empty where the name says it.
        facts: What else must hold: the words' key, and the value.
        values: All that it may be, where that is a list.
        parts: Its members, or the forms that it may have.
        is_choice: Whether the parts are forms.
    """

    name: str = ""
    kind: str
    required: bool = True
    nullable: bool = False
    description: str = ""
    facts: list[tuple[str, str]] = []
    values: list[str] = []
    parts: "list[Part]" = []
    is_choice: bool = False


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter.

    Attributes:
        where: ``path``, ``query`` or ``header``.
        part: What it is.
        example: A value.
    """

    where: str
    part: Part
    example: str

    @property
    def field(self) -> str:
        """The name of its field in a form."""
        return f"{self.where}.{self.part.name}"


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """A body, of a request or of an answer.

    Attributes:
        media_type: Its media type.
        part: What it is.
        example: An example; None where there is none to be read.
    """

    media_type: str
    part: Part
    example: str | None


class Example(msgspec.Struct, frozen=True):
    """How the operation is called.

    Attributes:
        name: The words' key of what by.
        text: The program or command.
    """

    name: str
    text: str


class Refusal(msgspec.Struct, frozen=True):
    """A refusal.

    Attributes:
        status: The HTTP status.
        code: The stable code, by which the page of errors tells of it.
        title: What it means.
    """

    status: int
    code: str
    title: str


class OperationPage(msgspec.Struct, frozen=True, kw_only=True):
    """All that is said of an operation.

    Attributes:
        declared: The operation itself.
        line: As lists have it.
        tag: To what it belongs.
        description: What there is to know, as prose.
        scopes: What the token must allow; any one of them.
        parameters: Its parameters.
        body: What is sent.
        status: The status of success.
        answer: What is answered then.
        headers: Which headers the answer has.
        refusals: What it refuses for reasons of its own.
        common: What most operations may refuse.
        follows: Where its answer leads.
        snippets: How it is called by SDK and command line.
    """

    declared: Operation
    line: Line
    tag: str
    description: str
    scopes: list[str]
    parameters: list[Parameter]
    body: Body | None
    status: int
    answer: Body | None
    headers: list[str]
    refusals: "list[Refusal]"
    common: "list[Refusal]"
    follows: list[Line]
    snippets: list[Example]


class Reference:
    """The reference of a tenant's operations, made as it is asked for.

    Args:
        rooms: All routes of the server.
    """

    def __init__(self, rooms: Iterable[Routes]) -> None:
        tags: dict[str, Tag] = {}
        self._operations: dict[str, Operation] = {}
        self._lines: dict[str, Line] = {}
        for room in rooms:
            for operation in room.operations:
                if not operation.in_document or operation.audience not in _SHOWN:
                    continue
                if operation.tag not in tags:
                    about = room.description.partition("\n\n")[0]
                    tags[operation.tag] = Tag(operation.tag, _prose(about), _anchor(operation.tag), [])
                line = _line(operation)
                self._operations[operation.operation_id] = operation
                self._lines[operation.operation_id] = line
                tags[operation.tag].lines.append(line)
        self.tags: list[Tag] = list(tags.values())
        self._by_name = tags
        self.page: Callable[[str], OperationPage | None] = functools.lru_cache(maxsize=256)(self._page)

    def tag(self, name: str) -> Tag:
        """Return a part of the API."""
        return self._by_name[name]

    @property
    def ids(self) -> Sequence[str]:
        """Return the id of every operation."""
        return list(self._operations)

    def _page(self, operation_id: str) -> OperationPage | None:
        operation = self._operations.get(operation_id)
        if operation is None:
            return None
        document, components = build_operation(operation)
        success = document["responses"][str(operation.status)]
        own = {each.code for each in operation.errors}
        refusals = [
            Refusal(status, each.code, each.title)
            for status, classes in refusals_of(operation).items()
            for each in classes
        ]
        return OperationPage(
            declared=operation,
            line=self._lines[operation_id],
            tag=operation.tag,
            description=_prose(operation.description) if operation.description else "",
            scopes=[each for each in (operation.scope, *operation.other_scopes) if each is not None],
            parameters=[_parameter(each, components) for each in document.get("parameters", ())],
            body=_body(document.get("requestBody", {}), components),
            status=operation.status,
            answer=_body(success, components),
            headers=list(success["headers"]),
            refusals=[each for each in refusals if each.code in own],
            common=[each for each in refusals if each.code not in own],
            follows=[self._lines[link.operation_id] for link in operation.links if link.operation_id in self._lines],
            snippets=[Example(name, text) for name, text in _snippets().get(operation_id, {}).items()],
        )


def reference_of(call: Call) -> Reference:
    """Return the reference, made when it is first asked for."""
    rooms = call.services.rooms
    if _ROOM not in rooms:
        rooms[_ROOM] = Reference(docs.documents_of(call).rooms())
    reference: Reference = rooms[_ROOM]
    return reference


@functools.cache
def _snippets() -> dict[str, dict[str, str]]:
    read: dict[str, dict[str, str]] = msgspec.json.decode(_SNIPPETS.read_bytes())
    return read


def _anchor(tag: str) -> str:
    return tag.lower().replace(" ", "-")


def _line(operation: Operation) -> Line:
    return Line(
        operation.operation_id, operation.method, operation.path, operation.summary, operation.deprecated is not None
    )


def _parameter(said: Mapping[str, Any], components: Mapping[str, Any]) -> Parameter:
    part = _part(said["schema"], components, name=said["name"], required=bool(said.get("required")))
    if "description" in said:
        part = msgspec.structs.replace(part, description=_prose(said["description"]))
    return Parameter(where=said["in"], part=part, example=_text(said.get("example", "")))


def _body(said: Mapping[str, Any], components: Mapping[str, Any]) -> Body | None:
    for media_type, content in said.get("content", {}).items():
        example = content.get("example")
        return Body(
            media_type=media_type,
            part=_part(content["schema"], components),
            example=None if example is None else _text(example),
        )
    return None


def _text(example: Any) -> str:
    return example if isinstance(example, str) else json.dumps(example, indent=2, ensure_ascii=False)


def _prose(text: str) -> Markup:
    return Markup(docs.prose(text))  # noqa: S704 - It has escaped everything.


# Schemas as trees.


def _part(
    schema: Mapping[str, Any],
    components: Mapping[str, Any],
    *,
    name: str = "",
    required: bool = True,
    within: tuple[str, ...] = (),
) -> Part:
    """Return a schema as a tree. One that holds itself, or is very deep, is named where it would begin anew."""
    forms = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    nullable = len(forms) < len(schema.get("anyOf", ()))
    prose = str(schema.get("description", ""))
    if len(forms) == 1:
        schema = {**{key: value for key, value in schema.items() if key != "anyOf"}, **forms[0]}
    shown = ""
    if "$ref" in schema:
        shown = schema["$ref"].rpartition("/")[2]
        target = components[shown]
        prose = prose or str(target.get("description", ""))
        stops = shown in within or len(within) >= _DEEPEST
        within = (*within, shown)
        schema = {"type": target.get("type", "object")} if stops else target
    made = _made(schema, components, within, named=shown)
    return msgspec.structs.replace(
        made,
        name=name,
        required=required,
        nullable=nullable,
        description=_prose(prose) if prose else "",
        facts=[(word, _text(schema[key])) for key, word in _FACTS.items() if _tells(key, schema)],
    )


def _tells(key: str, schema: Mapping[str, Any]) -> bool:
    """Tell whether a constraint says what the kind, the example and the description don't."""
    value = schema.get(key)
    if key == "pattern":
        return value is not None and not any(each in value for each in _SAYS_NOTHING)
    return value not in (None, [], {}) and (key, value) != ("minLength", 1)


def _made(schema: Mapping[str, Any], components: Mapping[str, Any], within: tuple[str, ...], *, named: str) -> Part:
    if forms := [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]:
        parts = [_part(each, components, within=within) for each in forms]
        return Part(kind=named or "one of", parts=parts, is_choice=True)
    if "enum" in schema or "const" in schema:
        values = schema["enum"] if "enum" in schema else [schema["const"]]
        return Part(kind=str(schema.get("type", "string")), values=[_text(each) for each in values])
    if schema.get("type") == "array":
        item = _part(schema.get("items", {}), components, within=within)
        return Part(kind=f"array of {item.kind}", parts=item.parts, values=item.values, is_choice=item.is_choice)
    if "properties" in schema:
        needed = set(schema.get("required", ()))
        parts = [
            _part(each, components, name=name, required=name in needed, within=within)
            for name, each in schema["properties"].items()
        ]
        return Part(kind=named or "object", parts=parts)
    return Part(kind=str(schema.get("format") or named or schema.get("type") or "any"))
