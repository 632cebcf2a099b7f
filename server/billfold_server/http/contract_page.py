"""The released contract, what has changed since, and the page that tells of it.

Files beside the exported document:

- ``released.json``: the contract as it was released last, without its prose. ``--release`` moves it.
- ``changes.toml``: what is changed since then although it breaks programs, and why. Whatever else breaks is refused.

And in the package, so that every server has it, ``changes.md``: the changes of each release, made of the two documents.
"""

import argparse
import importlib.resources
import json
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from billfold_server.http.contract_changes import Change, changes_between

__all__ = ["CHANGES", "DECLARED", "RELEASED", "bare", "keep", "main", "new_section", "page_of", "read_page", "refusals"]

RELEASED: Final = "released.json"
DECLARED: Final = "changes.toml"
CHANGES: Final = Path(__file__).with_name("changes.md")

_PROSE: Final = frozenset({"description", "example", "examples", "links", "summary", "tags", "title"})
# Below these, names are anybody's and no words of OpenAPI.
_NAMES: Final = frozenset({"properties", "schemas", "headers", "parameters", "responses", "paths", "webhooks"})
_UNRELEASED: Final = "## Not released yet\n"


def bare(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document without its prose: what programs depend on."""
    parts = {key: document[key] for key in ("paths", "webhooks", "components") if key in document}
    stripped: dict[str, Any] = _stripped(parts, named=False)
    for item in stripped["paths"].values():
        for operation in item.values():
            # What refusals say is one and the same everywhere; which there are is what is compared.
            responses = operation.get("responses", {}) if isinstance(operation, dict) else {}
            responses.update({status: {} for status in responses if not status.startswith("2")})
    return stripped


def _stripped(value: Any, *, named: bool) -> Any:
    if isinstance(value, list):
        return [_stripped(each, named=False) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _stripped(each, named=not named and key in _NAMES)
        for key, each in value.items()
        if named or key not in _PROSE
    }


def _written(document: Mapping[str, Any]) -> str:
    """Return a bare document as JSON with a line for each operation's address, event and component."""
    lines = []
    for part, entries in sorted(document.items()):
        inner = [f"{json.dumps(key)}:{json.dumps(entries[key], separators=(',', ':'))}" for key in sorted(entries)]
        lines.append(f"{json.dumps(part)}:{{\n" + ",\n".join(inner) + "\n}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def refusals(changes: Iterable[Change], declared: Mapping[str, str]) -> list[str]:
    """Return, in sentences, why a contract may not be changed so.

    Args:
        changes: What has changed since it was released.
        declared: What may break programs, and why.
    """
    breaking = {str(each) for each in changes if each.breaking}
    return [
        *(f"this breaks programs, and {DECLARED} doesn't say why: {each}" for each in sorted(breaking - {*declared})),
        *(f"{DECLARED} says why something changes that doesn't: {each}" for each in sorted({*declared} - breaking)),
    ]


def new_section(changes: Sequence[Change], declared: Mapping[str, str]) -> str:
    """Return the page's section about what isn't released yet; empty where nothing has changed."""
    if not changes:
        return ""
    breaking = [
        f"- `{each.where}`: {each.what}. {declared.get(str(each), '')}".rstrip() for each in changes if each.breaking
    ]
    others = [f"- `{each.where}`: {each.what}" for each in changes if not each.breaking]
    parts = [_UNRELEASED]
    for heading, lines in (("### Breaking\n", breaking), ("### Additions and other changes\n", others)):
        if lines:
            parts.append(heading + "\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def page_of(section: str, former: str) -> str:
    """Return the page with another section about what isn't released yet.

    Args:
        section: That section.
        former: The page as it was.
    """
    head, _, rest = former.partition("\n## ")
    released = f"## {rest}" if rest else ""
    if released.startswith(_UNRELEASED):
        _, _, rest = released.partition("\n## ")
        released = f"## {rest}" if rest else ""
    return "\n".join(each for each in (head.rstrip() + "\n", section, released) if each)


def read_page() -> str:
    """Return the page as this server was shipped with it."""
    return importlib.resources.files(__package__).joinpath(CHANGES.name).read_text(encoding="utf-8")


def read_declared(folder: Path) -> dict[str, str]:
    """Return what may break programs, and why."""
    file = folder / DECLARED
    said = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {each["change"]: each["reason"] for each in said.get("breaking", [])}


def main(arguments: Sequence[str] | None = None) -> int:
    """See that the contract has changed since its release by declared ways alone, and write the page of changes."""
    parser = argparse.ArgumentParser(prog="python -m billfold_server.http.contract_page", description=main.__doc__)
    parser.add_argument("file", type=Path, help="the exported document")
    parser.add_argument("--check", action="store_true", help="compare, and change nothing")
    parser.add_argument("--release", metavar="DATE", help="from now on this is the released contract, of that version")
    options = parser.parse_args(arguments)
    document = yaml.load(options.file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return keep(document, options.file.parent, check=options.check, release=options.release)


def keep(
    document: Mapping[str, Any], folder: Path, *, file: Path = CHANGES, check: bool = False, release: str | None = None
) -> int:
    """Write the page of what has changed since the last release, if nothing has in a way that isn't declared.

    Args:
        document: The contract as it is.
        folder: Where the released one lies.
        file: The page.
        check: Compare the page, and change nothing.
        release: From now on this is the released contract, of that version.

    Returns:
        0 if all is well; what isn't is told on standard error.
    """
    present = bare(document)
    changes = changes_between(json.loads((folder / RELEASED).read_text(encoding="utf-8")), present)
    declared = read_declared(folder)
    if problems := refusals(changes, declared):
        sys.stderr.write("".join(f"{each}\n" for each in problems))
        return 1
    former = file.read_text(encoding="utf-8")
    page = page_of(new_section(changes, declared), former)
    if check:
        if page != former:
            sys.stderr.write(f"{file.name} isn't what the contract says; nox -s openapi -- --write makes it anew\n")
        return int(page != former)
    if release is not None:
        page = page.replace(_UNRELEASED, f"## {release}\n", 1)
        (folder / RELEASED).write_text(_written(present), encoding="utf-8")
        (folder / DECLARED).unlink(missing_ok=True)
    file.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
