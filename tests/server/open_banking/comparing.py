"""Two documents made comparable: each operation as a flat set of facts, such as that a member has a length.

Words are left out (descriptions, titles, examples), and so is what says the same in two ways: ``int32`` and its
bounds, lengths of a text that is one of a list, a least number of members that the required ones make up, ``allOf``
with nothing but a description beside it.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from tests.server.open_banking.documents import FILES, OfficialOperation, resolved

__all__ = ["NOT_OFFERED", "facts_of_official", "facts_of_ours"]

NOT_OFFERED: Final = frozenset({"application/jose+jwe"})
"""Media types that the standard leaves to agreement: encrypted messages."""

_INT32: Final = {"minimum": -(2**31), "maximum": 2**31 - 1}
_CONSTRAINTS: Final = (
    "type",
    "pattern",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minimum",
    "maximum",
    "minProperties",
    "maxProperties",
    "default",
    "format",
)
_WITHOUT_MEANING: Final = {"float", "int64", "base64", "Array of patch operations"}
Resolve = Callable[[Any], Any]


def facts_of_official(operation: OfficialOperation) -> set[str]:
    """Return the facts of an official operation."""

    def resolve(part: Any) -> Any:
        return resolved(operation.file, part)

    assert operation.file in FILES
    facts = {f"id={operation.operation_id}", f"security={operation.security}"}
    for name, parameter in operation.headers.items():
        facts |= _parameter("header", name, parameter, resolve)
    for (place, name), parameter in operation.others.items():
        facts |= _parameter(place, name, parameter, resolve)
    facts |= set(_content("request", operation.body, resolve))
    for status, response in operation.responses.items():
        facts |= _response(status, response.headers, response.media, resolve)
    return facts


def facts_of_ours(document: Mapping[str, Any], method: str, path: str) -> set[str]:
    """Return the facts of an operation of our document."""

    def resolve(part: Any) -> Any:
        while isinstance(part, dict) and "$ref" in part:
            part = document["components"]["schemas"][part["$ref"].removeprefix("#/components/schemas/")]
        return part

    written = document["paths"][path][method.lower()]
    ((scheme, scopes),) = written["security"][0].items()
    facts = {f"id={written['operationId']}", f"security={(scheme.removesuffix('OAuth2Security'), tuple(scopes))}"}
    for parameter in written["parameters"]:
        name = parameter["name"].lower() if parameter["in"] == "header" else parameter["name"]
        facts |= _parameter(parameter["in"], name, parameter, resolve)
    facts |= set(_content("request", _media(written.get("requestBody", {})), resolve))
    for status, response in written["responses"].items():
        headers = {name.lower(): each for name, each in response.get("headers", {}).items()}
        facts |= _response(int(status), headers, _media(response), resolve)
    return facts


def _media(part: Mapping[str, Any]) -> dict[str, Any]:
    return {media: each.get("schema") for media, each in part.get("content", {}).items()}


def _parameter(place: str, name: str, parameter: Mapping[str, Any], resolve: Resolve) -> set[str]:
    where = f"{place} {name}"
    return {f"{where} required={bool(parameter.get('required'))}", *_schema(where, parameter["schema"], resolve)}


def _response(status: int, headers: Mapping[str, Any], media: Mapping[str, Any], resolve: Resolve) -> set[str]:
    facts = {f"status {status}"}
    for name, header in headers.items():
        where = f"{status} header {name}"
        facts |= {f"{where} required={bool(header.get('required'))}", *_schema(where, header["schema"], resolve)}
    return facts | set(_content(str(status), media, resolve))


def _content(where: str, media: Mapping[str, Any], resolve: Resolve) -> Iterator[str]:
    for each, schema in media.items():
        if each not in NOT_OFFERED:
            yield f"{where} {each}"
            yield from _schema(f"{where} {each}", schema, resolve)


def _schema(where: str, schema: Any, resolve: Resolve) -> Iterator[str]:
    """Yield what a schema says, with everything that it refers to in its place."""
    said = _plain(schema, resolve)
    for name in _CONSTRAINTS:
        if name in said:
            yield f"{where}: {name}={said[name]!r}"
    if "enum" in said:
        yield f"{where}: enum={sorted(set(said['enum']))}"
    if said.get("type") == "array":
        yield from _schema(f"{where}[]", said["items"], resolve)
    if said.get("type") == "object":
        yield from _object(where, said, resolve)


def _object(where: str, said: Mapping[str, Any], resolve: Resolve) -> Iterator[str]:
    more = said.get("additionalProperties", True)
    if isinstance(more, dict):
        yield f"{where}: further members of one form"
        yield from _schema(f"{where}.*", more, resolve)
    else:
        yield f"{where}: {'open' if more else 'closed'}"
    required = set(said.get("required", ()))
    for name, part in said.get("properties", {}).items():
        yield f"{where}.{name}: {'required' if name in required else 'optional'}"
        yield from _schema(f"{where}.{name}", part, resolve)


def _plain(schema: Any, resolve: Resolve) -> dict[str, Any]:
    said = _whole(dict(resolve(schema)), resolve)
    if said.get("format") == "int32":
        said = {**_INT32, **said}
    without = {"format"} if said.get("format") in {"int32", *_WITHOUT_MEANING} else set()
    without |= {"minLength", "maxLength"} if "enum" in said else set()
    without |= {bound for bound in ("minLength", "minItems") if said.get(bound) == 0}
    if said.get("minProperties", 0) <= len(said.get("required", ())):
        without.add("minProperties")
    return {name: value for name, value in said.items() if name not in without}


def _whole(said: dict[str, Any], resolve: Resolve) -> dict[str, Any]:
    """Put what a schema says by others into one, and name the type where it goes without saying."""
    if "allOf" in said:
        (said,) = (dict(resolve(each)) for each in said["allOf"] if set(each) - {"description"})
    if "oneOf" in said:
        return {"type": "string", "pattern": "|".join(_alternative(resolve(each)) for each in said["oneOf"])}
    if "properties" in said:
        return {**said, "type": "object"}
    return {"type": "string", **said} if "enum" in said else said


def _alternative(said: Mapping[str, Any]) -> str:
    """Return a form of text as a pattern."""
    return f"^({'|'.join(said['enum'])})$" if "enum" in said else str(said["pattern"])
