"""Generate what the portal shows of the SDK and the command line: ``python -m tests.server.portal.generate_snippets``.

The server doesn't know the SDK, so what calls its operations by name is made here, of the contract's own examples and
the methods' signatures, and committed; tests compare it with both and run it.
"""

import inspect
import json
import keyword
import shlex
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import msgspec

import billfold
from billfold.cli.arguments import InstantType, JsonType, MoneyType, PairType, members, type_of
from billfold.cli.calling import NOT_AT_A_TERMINAL
from billfold.cli.root import OPERATORS
from billfold.client._sync.resource import Resource
from billfold.money import Money, to_decimal
from billfold_server.http.openapi import build_operation
from billfold_server.http.routing import Operation
from billfold_server.rooms import operations
from tests.sdk.recording import client
from tests.sdk.test_operations import FAILING, call, template

TARGET: Final = Path(__file__).parents[3] / "server" / "billfold_server" / "portal" / "snippets.json"

_WAYS: Final = {
    "createTransfers": "transfers.bulk",
    "detokenizeVaultTokens": "vault_tokens.detokenize",
    "listEvents": "events.list",
}
"""Which of several methods is shown."""

_FURTHER: Final[dict[str, dict[str, Any]]] = {
    "replayWebhookEvents": {"after": 4711},
    "unblockOrganisation": {
        "directory": "https://directory.openbanking.example",
        "organisation_id": "0015800001HQQrZAAX",
    },
}
"""What a method wants to be told where the body, or the address, may leave it out."""

_FILE: Final = "statement.sta"
_WIDE: Final = 88


class Way(NamedTuple):
    """How a client gets to a method."""

    path: str
    method: Callable[..., Any]

    @property
    def returns(self) -> str:
        """What it is annotated to return."""
        return str(inspect.signature(self.method).return_annotation)


def ways() -> dict[str, list[Way]]:
    """Return the methods of a tenant's client by the operations that they ask for."""
    found: dict[str, list[Way]] = defaultdict(list)
    made, transport = client(FAILING)
    for way in _below(made, ""):
        before = len(transport.requests)
        call(way.method)
        found[template(*transport.requests[before][:2])].append(way)
    return found


def _below(thing: Any, path: str) -> Iterator[Way]:
    for name in dir(thing):
        if name.startswith("_"):
            continue
        resource = getattr(thing, name)
        if isinstance(resource, Resource):
            yield from _below(resource, f"{path}{name}.")
            for called, method in inspect.getmembers(resource, inspect.ismethod):
                if not called.startswith("_"):
                    yield Way(f"{path}{name}.{called}", method)


def generate() -> dict[str, dict[str, str]]:
    """Return, by operation, what calls it from Python and from the command line."""
    known = ways()
    made: dict[str, dict[str, str]] = {}
    for operation in operations():
        at = f"{operation.method} {operation.path}"
        if operation.audience != "tenant" or not operation.in_document or at not in known:
            continue
        preferred = _WAYS.get(operation.operation_id, known[at][0].path)
        (way,) = (each for each in known[at] if each.path == preferred)
        given = _given(operation, way)
        made[operation.operation_id] = {"python": _python(way, given), "cli": _cli(way, given)}
    for name, text in _formatted({name: each["python"] for name, each in made.items()}).items():
        made[name]["python"] = text
    return made


def _formatted(programs: Mapping[str, str]) -> dict[str, str]:
    """Return programs as the formatter lays them out, narrow enough for a page."""
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder, f"{name}.py") for name in programs}
        for name, file in files.items():
            file.write_text(programs[name], encoding="utf-8")
        command = ["-m", "ruff", "format", "--isolated", "--quiet", "--line-length", str(_WIDE), folder]
        subprocess.run([sys.executable, *command], check=True)
        return {name: file.read_text(encoding="utf-8") for name, file in files.items()}


class Given(NamedTuple):
    """An argument: its value as JSON has it, and what the method takes."""

    parameter: inspect.Parameter
    value: Any

    @property
    def is_positional(self) -> bool:
        """Whether it is written without a name."""
        return self.parameter.kind is not inspect.Parameter.KEYWORD_ONLY and self.parameter.default is inspect._empty

    @property
    def typed(self) -> Any:
        """The value as a program has it."""
        found = members(self.parameter.annotation)
        if bytes in found.types:
            return Path(_FILE)
        return _typed(self.value, self.parameter.annotation)


def _typed(value: Any, annotation: Any) -> Any:
    found = members(annotation)
    for each in found.types:
        if each is Money or each is datetime or (isinstance(each, type) and issubclass(each, msgspec.Struct)):
            return msgspec.convert(value, each)
        if isinstance(value, list) and inspect.isclass(origin := getattr(each, "__origin__", None)):
            assert origin is not None
            (item,) = each.__args__[:1]
            return [_typed(one, item) for one in value]
    return value


def _given(operation: Operation, way: Way) -> list[Given]:
    """Return the arguments that say what the contract's examples say, and nothing that may be left out beside them."""
    document, _ = build_operation(operation)
    values: dict[str, Any] = {
        each["name"]: each.get("example", each["schema"].get("default", "text"))
        for each in document.get("parameters", ())
        if each["in"] == "path"
    }
    for content in document.get("requestBody", {}).get("content", {}).values():
        example = content.get("example")
        values |= example if isinstance(example, dict) else {"source": example}
        values["body"] = example
    values |= _FURTHER.get(operation.operation_id, {})
    given = []
    for parameter in inspect.signature(way.method).parameters.values():
        name = parameter.name.removesuffix("_")
        if name not in values and parameter.default is parameter.empty:
            # One argument is the whole body.
            name = "body"
        if name in values:
            given.append(Given(parameter, values[name]))
    return given


# Python.


def _python(way: Way, given: Sequence[Given]) -> str:
    imports: dict[str, set[str]] = defaultdict(set)
    imports["billfold"].add("Billfold")
    arguments = []
    for each in given:
        value = _expression(each.typed, imports)
        arguments.append(value if each.is_positional else f"{each.parameter.name}={value}")
    called = f"billfold.{way.path}({', '.join(arguments)})"
    if ".Pages[" in way.returns or "Iterator[" in way.returns:
        body = f"    for each in {called}:\n        print(each)"
    elif way.returns == "<class 'bytes'>":
        imports["pathlib"].add("Path")
        name = f"statement.{way.path.rpartition('.')[2]}"
        body = f'    Path("{name}").write_bytes({called})'
    elif way.returns == "None":
        body = f"    {called}"
    else:
        body = f"    answer = {called}\n    print(answer)"
    return f"{_imported(imports)}\n\nwith Billfold() as billfold:\n{body}\n"


def _imported(imports: Mapping[str, set[str]]) -> str:
    standard = [each for each in sorted(imports) if not each.startswith("billfold")]
    own = [each for each in sorted(imports) if each.startswith("billfold")]
    lines = [
        "\n".join(f"from {module} import {', '.join(sorted(imports[module]))}" for module in modules)
        for modules in (standard, own)
        if modules
    ]
    return "\n\n".join(lines)


def _expression(value: Any, imports: dict[str, set[str]]) -> str:  # noqa: PLR0911 - a case each
    match value:
        case Path():
            imports["pathlib"].add("Path")
            return f'Path("{value}").read_bytes()'
        case Money():
            imports["billfold"].add("Money")
            return f'Money({value.amount_minor}, "{value.currency}")'
        case datetime():
            imports["datetime"] |= {"UTC", "datetime"}
            parts = [value.year, value.month, value.day, value.hour, value.minute]
            return f"datetime({', '.join(map(str, parts))}, tzinfo=UTC)"
        case Enum():
            _import(type(value), imports)
            return f"{type(value).__name__}.{value.name}"
        case msgspec.Struct():
            return _struct(value, imports)
        case list():
            return f"[{', '.join(_expression(each, imports) for each in value)}]"
        case dict():
            inner = ", ".join(f"{json.dumps(name)}: {_expression(each, imports)}" for name, each in value.items())
            return f"{{{inner}}}"
        case str():
            return json.dumps(value, ensure_ascii=False)
    return repr(value)


def _struct(value: msgspec.Struct, imports: dict[str, set[str]]) -> str:
    _import(type(value), imports)
    parts = []
    for field in msgspec.structs.fields(value):
        held = getattr(value, field.name)
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        if held != default:
            assert not keyword.iskeyword(field.name)
            parts.append(f"{field.name}={_expression(held, imports)}")
    return f"{type(value).__name__}({', '.join(parts)})"


def _import(cls: type, imports: dict[str, set[str]]) -> None:
    public = getattr(billfold, cls.__name__, None) is cls
    imports["billfold" if public else cls.__module__].add(cls.__name__)


# The command line.


def _cli(way: Way, given: Sequence[Given]) -> str:
    *resources, name = (each.replace("_", "-") for each in way.path.split("."))
    assert name.replace("-", "_") not in NOT_AT_A_TERMINAL
    words = ["billfold", *(["api"] if resources[0] in OPERATORS else []), *resources, name]
    options: list[str] = []
    for each in given:
        type_, several = type_of(members(each.parameter.annotation))
        values = [_word(type_, value) for value in _several(each.value, type_, several=several)]
        if each.is_positional and not isinstance(type_, PairType):
            words += values
        elif type_ is click.BOOL:
            options.append(f"--{'' if each.value else 'no-'}{_option(each)}")
        else:
            options += [part for value in values for part in (f"--{_option(each)}", value)]
    return _wrapped([*map(shlex.quote, words)], [shlex.quote(each) for each in options]) + "\n"


def _option(given: Given) -> str:
    return given.parameter.name.strip("_").replace("_", "-")


def _several(value: Any, type_: Any, *, several: bool) -> list[Any]:
    if not several:
        return [value]
    return [f"{key}={held}" for key, held in value.items()] if isinstance(type_, PairType) else list(value)


def _word(type_: Any, value: Any) -> str:
    if isinstance(type_, MoneyType):
        return f"{to_decimal(value['amount_minor'], value['currency'])} {value['currency']}"
    if isinstance(type_, click.File):
        return _FILE
    if isinstance(type_, InstantType):
        return str(value)
    if isinstance(type_, JsonType) or isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _wrapped(words: Sequence[str], options: Sequence[str]) -> str:
    """Return a command, with an option per line where it is long."""
    plain = " ".join([*words, *options])
    if len(plain) <= _WIDE:
        return plain
    groups: list[list[str]] = [list(words)]
    for each in options:
        if each.startswith("--"):
            groups.append([each])
        else:
            groups[-1].append(each)
    return " \\\n  ".join(" ".join(group) for group in groups)


def written() -> str:
    """Return the file as it should be."""
    return json.dumps(generate(), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the file."""
    TARGET.write_text(written(), encoding="utf-8")


if __name__ == "__main__":
    main()
