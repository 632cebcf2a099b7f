"""What has changed between two OpenAPI documents, and what of it breaks programs that keep to the older one.

A change breaks if a program that was written by the older document may fail against the newer server: something that it
may ask for is gone or narrower, or something that it may read is gone, or of another type. What it is only told in
addition breaks nothing, values of enums included: programs are told to expect that, and the SDK does.

Pure: documents in, changes out. ``contract_page`` has the files.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

__all__ = ["Change", "changes_between"]

Direction = Literal["request", "response"]
Schema = Mapping[str, Any]
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_REF: Final = "#/components/"
_OK: Final = "2"
# What a request may not exceed: by growing, or by shrinking, the limit lets less pass.
_LOWER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_NONE: Final = object()


class Change(msgspec.Struct, frozen=True, order=True):
    """One change.

    Attributes:
        where: An operation, an event or a member of a schema.
        what: What has become of it.
        breaking: Whether it breaks programs.
    """

    where: str
    what: str
    breaking: bool

    def __str__(self) -> str:
        """Return it as a person reads it, and as it is declared."""
        return f"{self.where}: {self.what}"


def changes_between(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Return what has changed from one document to another, each change once.

    Args:
        old: The document that programs were written by.
        new: The document of the server that they meet.
    """
    return sorted(set(_Comparison(old, new).changes()))


class _Comparison:
    def __init__(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        self._old = old
        self._new = new
        self._seen: set[tuple[str, str, Direction]] = set()

    def changes(self) -> Iterator[Change]:
        before, after = _operations(self._old), _operations(self._new)
        for name in before.keys() - after.keys():
            yield Change(name, "removed", breaking=True)
        for name in after.keys() - before.keys():
            yield Change(name, "added", breaking=False)
        for name in before.keys() & after.keys():
            yield from self._operation(name, before[name], after[name])
        told, telling = self._old.get("webhooks", {}), self._new.get("webhooks", {})
        for name in told.keys() - telling.keys():
            yield Change(f"event {name}", "removed", breaking=True)
        for name in telling.keys() - told.keys():
            yield Change(f"event {name}", "added", breaking=False)
        for name in told.keys() & telling.keys():
            # What an endpoint is sent it reads, as it reads answers.
            yield from self._content(
                f"event {name}",
                told[name]["post"]["requestBody"]["content"],
                telling[name]["post"]["requestBody"]["content"],
                "response",
            )

    def _operation(self, name: str, old: Schema, new: Schema) -> Iterator[Change]:
        if old.get("operationId") != new.get("operationId"):
            yield Change(name, f"called {new.get('operationId')}, no longer {old.get('operationId')}", breaking=True)
        if new.get("deprecated") and not old.get("deprecated"):
            yield Change(name, "deprecated", breaking=False)
        needed, needs = _needed(old), _needed(new)
        if needs != needed:
            yield Change(name, f"needs {_listed(needs)}, no longer {_listed(needed)}", breaking=not needs < needed)
        yield from self._parameters(name, old, new)
        yield from self._request(name, old.get("requestBody"), new.get("requestBody"))
        yield from self._responses(name, old["responses"], new["responses"])

    def _parameters(self, name: str, old: Schema, new: Schema) -> Iterator[Change]:
        before = {(each["in"], each["name"]): each for each in self._resolved(self._old, old.get("parameters", ()))}
        after = {(each["in"], each["name"]): each for each in self._resolved(self._new, new.get("parameters", ()))}
        for key in before.keys() | after.keys():
            was, now, where = before.get(key), after.get(key), f"{name}, {key[0]} {key[1]}"
            if now is None:
                # Unknown ones are refused, so this isn't harmless.
                yield Change(where, "removed", breaking=True)
            elif was is None:
                required = bool(now.get("required"))
                yield Change(where, "added, required" if required else "added", breaking=required)
            else:
                if now.get("required") and not was.get("required"):
                    yield Change(where, "required", breaking=True)
                yield from self._schemas(where, was["schema"], now["schema"], "request")

    def _request(self, name: str, old: Schema | None, new: Schema | None) -> Iterator[Change]:
        if old is None or new is None:
            if old is not new:
                breaking = new is None or bool(new.get("required"))
                yield Change(f"{name}, body", "removed" if new is None else "added", breaking=breaking)
            return
        if new.get("required") and not old.get("required"):
            yield Change(f"{name}, body", "required", breaking=True)
        yield from self._content(f"{name}, body", old["content"], new["content"], "request")

    def _responses(self, name: str, old: Schema, new: Schema) -> Iterator[Change]:
        for status in old.keys() | new.keys():
            success, where = status.startswith(_OK), f"{name}, {status}"
            if status not in new:
                yield Change(where, "no longer answered", breaking=success)
            elif status not in old:
                # A further success is one that a program doesn't take for one; of refusals there may always be more.
                yield Change(where, "may be answered", breaking=success)
            elif success:
                was, now = old[status], new[status]
                for header, said in was.get("headers", {}).items():
                    if header not in now.get("headers", {}):
                        required = bool(self._target(self._old, said).get("required"))
                        yield Change(f"{where}, header {header}", "removed", breaking=required)
                yield from self._content(where, was.get("content", {}), now.get("content", {}), "response")

    def _content(self, where: str, old: Schema, new: Schema, direction: Direction) -> Iterator[Change]:
        for media_type in old.keys() - new.keys():
            yield Change(where, f"no longer {media_type}", breaking=True)
        for media_type in new.keys() - old.keys():
            yield Change(where, f"also {media_type}", breaking=not old and direction == "response")
        for media_type in old.keys() & new.keys():
            yield from self._schemas(
                where, old[media_type].get("schema", {}), new[media_type].get("schema", {}), direction
            )

    # Schemas.

    def _schemas(self, where: str, old: Schema, new: Schema, direction: Direction) -> Iterator[Change]:
        if "$ref" in old and "$ref" in new:
            # What many operations share is told of once, by its own name.
            pair = (old["$ref"], new["$ref"], direction)
            if pair in self._seen:
                return
            self._seen.add(pair)
            if old["$ref"] == new["$ref"]:
                where = old["$ref"].rpartition("/")[2]
        was, now = self._whole(self._old, old), self._whole(self._new, new)
        if "anyOf" in was or "anyOf" in now:
            yield from self._alternatives(where, was, now, direction)
            return
        yield from _types(where, was, now, direction)
        yield from _limits(where, was, now, direction)
        yield from self._members(where, was, now, direction)
        for key, part in (("items", "each"), ("additionalProperties", "others")):
            if isinstance(was.get(key), dict) and isinstance(now.get(key), dict):
                yield from self._schemas(f"{where}, {part}", was[key], now[key], direction)
        closed, was_closed = now.get("additionalProperties") is False, was.get("additionalProperties") is False
        if direction == "request" and "properties" in was and closed and not was_closed:
            yield Change(where, "no other members are taken", breaking=True)

    def _alternatives(self, where: str, old: Schema, new: Schema, direction: Direction) -> Iterator[Change]:
        was = {_kind(each): each for each in old.get("anyOf", [old])}
        now = {_kind(each): each for each in new.get("anyOf", [new])}
        for kind in was.keys() - now.keys():
            yield Change(where, f"no longer {kind}", breaking=direction == "request")
        for kind in now.keys() - was.keys():
            yield Change(where, f"also {kind}", breaking=direction == "response")
        for kind in was.keys() & now.keys():
            yield from self._schemas(where, was[kind], now[kind], direction)

    def _members(self, where: str, old: Schema, new: Schema, direction: Direction) -> Iterator[Change]:
        was, now = old.get("properties", {}), new.get("properties", {})
        asked, asks = set(old.get("required", ())), set(new.get("required", ()))
        for name in was.keys() - now.keys():
            yield Change(f"{where}.{name}", "removed", breaking=True)
        for name in now.keys() - was.keys():
            breaking = direction == "request" and name in asks
            yield Change(f"{where}.{name}", "added, required" if breaking else "added", breaking=breaking)
        for name in was.keys() & now.keys():
            if name in asks - asked:
                yield Change(f"{where}.{name}", _when(direction, "required", "always there"), direction == "request")
            if name in asked - asks:
                yield Change(f"{where}.{name}", _when(direction, "optional", "may be absent"), direction == "response")
            yield from self._schemas(f"{where}.{name}", was[name], now[name], direction)

    # References.

    def _whole(self, document: Schema, schema: Schema) -> dict[str, Any]:
        """Return a schema with what it refers to, and all that it consists of, in one."""
        parts = [self._target(document, schema)] if "$ref" in schema else []
        parts += [self._whole(document, each) for each in schema.get("allOf", ())]
        own = {key: value for key, value in schema.items() if key not in {"$ref", "allOf"}}
        whole: dict[str, Any] = {}
        for part in [*parts, own]:
            merged = {**whole, **part}
            for key in ("properties", "required"):
                if key in whole and key in part:
                    both = (whole[key], part[key])
                    merged[key] = {**both[0], **both[1]} if key == "properties" else sorted({*both[0], *both[1]})
            whole = merged
        return whole

    @staticmethod
    def _target(document: Schema, named: Schema) -> Schema:
        target: Any = document["components"] if "$ref" in named else named
        for step in named.get("$ref", _REF).removeprefix(_REF).split("/") if "$ref" in named else ():
            target = target[step]
        found: Schema = target
        return found

    def _resolved(self, document: Schema, parts: Sequence[Schema]) -> list[Schema]:
        return [self._target(document, each) for each in parts]


def _operations(document: Schema) -> dict[str, Schema]:
    return {
        f"{method.upper()} {path}": item[method]
        for path, item in document["paths"].items()
        for method in _METHODS
        if method in item
    }


def _needed(operation: Schema) -> set[str]:
    return {scope for each in operation.get("security", ()) for scopes in each.values() for scope in scopes}


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _when(direction: Direction, asked: str, told: str) -> str:
    return asked if direction == "request" else told


def _kind(schema: Schema) -> str:
    """Return by what an alternative is known."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    kind = schema.get("type", "const" if "const" in schema else "anything")
    return f"{kind} ({schema['format']})" if "format" in schema else str(kind)


def _type_set(schema: Schema) -> set[str]:
    kinds = schema.get("type", ())
    return {kinds} if isinstance(kinds, str) else set(kinds)


def _values(schema: Schema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _types(where: str, old: Schema, new: Schema, direction: Direction) -> Iterator[Change]:
    was, now = _type_set(old), _type_set(new)
    if was != now:
        # A schema without a type is of any.
        narrower = bool(now) and not (was and was <= now)
        wider = bool(was) and not (now and now <= was)
        breaking = narrower if direction == "request" else wider
        yield Change(where, f"{_listed(now)}, no longer {_listed(was)}", breaking=breaking)
    for key in ("format", "pattern"):
        before, after = old.get(key), new.get(key)
        if before != after:
            breaking = after is not None if direction == "request" else before is not None
            yield Change(where, f"another {key}", breaking=breaking)
    values, further = _values(old), _values(new)
    if values is None and further is None:
        return
    if values is None or further is None:
        breaking = values is None if direction == "request" else False
        yield Change(where, "any value" if further is None else "certain values alone", breaking=breaking)
        return
    for value in values:
        if value not in further:
            yield Change(where, f"no longer {value}", breaking=True)
    for value in further:
        if value not in values:
            yield Change(where, f"also {value}", breaking=False)


def _limits(where: str, old: Schema, new: Schema, direction: Direction) -> Iterator[Change]:
    for key in (*_LOWER, *_UPPER):
        was, now = old.get(key, _NONE), new.get(key, _NONE)
        if was == now:
            continue
        tighter = now is not _NONE and (was is _NONE or (now > was if key in _LOWER else now < was))
        said = "none" if now is _NONE else now
        yield Change(where, f"{key} is {said}", breaking=direction == "request" and tighter)
