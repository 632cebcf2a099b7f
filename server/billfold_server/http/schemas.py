"""Schemas of the OpenAPI document, and examples made of them.

They come from msgspec, which knows every constraint of the contract; here they are only put into the words that the
document wants.
"""

import copy
import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

__all__ = ["Schemas", "example_of"]

_REF: Final = "#/components/schemas/"
_GENERIC = re.compile(r"^(\w+?)_(\w+)_$")
_CODE = re.compile(r"``([^`]*)``")

# Python's ``$`` also matches before a newline at the end, ECMA's doesn't; the contract's patterns say so, and the
# document, which is read by ECMA's rules, needn't.
_PYTHON_END: Final = "(?!\\n)"
# Python's ``\\d`` and ``\\w`` know every script, ECMA's don't.
_PYTHON_ASCII: Final = "(?a)"


class Schemas:
    """The schemas of all types of the document.

    Args:
        types: Every type that the document mentions.
        tidy: Whether they are put into the document's words; a test looks at them as they are.
    """

    def __init__(self, types: Iterable[Any], *, tidy: bool = True) -> None:
        tidied = _tidied if tidy else copy.deepcopy
        distinct = list({repr(each): each for each in types}.values())
        found, components = msgspec.json.schema_components(distinct, ref_template=_REF + "{name}")
        self._of = {repr(each): tidied(schema) for each, schema in zip(distinct, found, strict=True)}
        self.components: dict[str, Any] = {_name(name): tidied(components[name]) for name in sorted(components)}

    def of(self, type_: Any) -> dict[str, Any]:
        """Return the schema of a type."""
        schema: dict[str, Any] = self._of[repr(type_)]
        return schema

    def resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a schema, or what it refers to."""
        if "$ref" in schema:
            target: Mapping[str, Any] = self.components[schema["$ref"].removeprefix(_REF)]
            return target
        return schema


def _name(name: str) -> str:
    """Return the component's name: ``WalletPage`` for what msgspec calls ``Page_Wallet_``."""
    return _GENERIC.sub(r"\2\1", name)


def _tidied(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_tidied(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    tidy = {key: _tidied(value) for key, value in schema.items()}
    if isinstance(tidy.get("$ref"), str):
        tidy["$ref"] = _REF + _name(tidy["$ref"].removeprefix(_REF))
    if isinstance(tidy.get("description"), str):
        tidy["description"] = _CODE.sub(r"`\1`", inspect.cleandoc(tidy["description"]))
    if isinstance(tidy.get("pattern"), str):
        tidy["pattern"] = tidy["pattern"].removeprefix(_PYTHON_ASCII).replace(_PYTHON_END, "")
    if isinstance(tidy.get("title"), str):
        tidy["title"] = re.sub(r"^(\w+)\[(\w+)\]$", r"\2\1", tidy["title"])
    if (
        "type" not in tidy
        and isinstance(tidy.get("enum"), list)
        and all(isinstance(each, str) for each in tidy["enum"])
    ):
        tidy["type"] = "string"
    return tidy


_ASKED_FOR: Final = "expanded"
"""The member that answers have only where it is asked for."""

_BY_FORMAT: Final = {
    "date-time": "2026-11-20T12:00:00Z",
    "date": "2026-11-20",
    "uuid": "01931c3e-0000-7000-8000-000000000000",
}


def example_of(schemas: Schemas, schema: Mapping[str, Any], *, whole: bool) -> Any:
    """Return an example of a schema: its own where it has one, otherwise one made of its parts.

    Args:
        schemas: Where references lead.
        schema: The schema.
        whole: Whether optional members are shown too, as in answers.
    """
    schema = schemas.resolved(schema)
    for key, said in (
        ("examples", schema.get("examples")),
        ("const", [schema.get("const")]),
        ("enum", schema.get("enum")),
    ):
        if key in schema and said:
            return said[0]
    if "default" in schema:
        return schema["default"]
    if "anyOf" in schema:
        return example_of(schemas, schema["anyOf"][0], whole=whole)
    if schema.get("type") == "object":
        return _object_example(schemas, schema, whole=whole)
    if schema.get("type") == "array":
        items = schema.get("items", {})
        return [example_of(schemas, items, whole=whole) for _ in range(max(1, schema.get("minItems", 0)))]
    return _plain_example(schema)


def _plain_example(schema: Mapping[str, Any]) -> Any:
    plain = {
        "integer": schema.get("minimum", 1),
        "boolean": True,
        "string": _BY_FORMAT.get(schema.get("format", ""), "text"),
    }
    return plain.get(schema.get("type", ""), {})


def _object_example(schemas: Schemas, schema: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    required = set(schema.get("required", ()))
    return {
        name: example_of(schemas, part, whole=whole)
        for name, part in schema.get("properties", {}).items()
        if name in required or (whole and name != _ASKED_FOR)
    }
