"""The reference of errors, made of the registry: each code with its status, what it means, and what to do."""

import functools
import inspect
import re
import tomllib
import typing
from pathlib import Path
from typing import Any, Final

import msgspec
from markupsafe import Markup, escape

from billfold import errors
from billfold_server.http.problems import problem_type, status_of
from billfold_server.http.routing import Call, Reply
from billfold_server.portal.pages import go, page, render
from billfold_server.portal.viewers import guest

__all__ = ["Entry", "entries", "find"]

_ADVICE: Final = Path(__file__).parent / "texts" / "advice.toml"
_CODE: Final = re.compile(r"`+([^`]+)`+")
_NO_FACT: Final = frozenset(typing.get_type_hints(errors.ProblemError))


class Entry(msgspec.Struct, frozen=True):
    """An error as the page shows it.

    Attributes:
        code: Its stable code, which is its anchor as well.
        type: The same as a problem's ``type`` says it.
        title: Its title.
        status: The status over HTTP.
        meaning: When it is answered.
        advice: What to do about it.
        facts: What else it says, by the names of the members.
    """

    code: str
    type: str
    title: str
    status: int
    meaning: Markup
    advice: Markup
    facts: tuple[str, ...]


@functools.cache
def entries() -> tuple[Entry, ...]:
    """Return every error that there is, by status and code."""
    said = tomllib.loads(_ADVICE.read_text(encoding="utf-8"))
    return tuple(
        sorted((_entry(kind, said) for kind in errors.ERRORS.values()), key=lambda each: (each.status, each.code))
    )


def _entry(kind: type[errors.ProblemError], said: dict[str, Any]) -> Entry:
    status = status_of(kind)
    advice = said["codes"].get(kind.code) or said["statuses"][str(status)]
    facts = tuple(sorted(name for name in typing.get_type_hints(kind) if name[0] != "_" and name not in _NO_FACT))
    meaning = " ".join(inspect.cleandoc(kind.__doc__ or "").split())
    return Entry(kind.code, problem_type(kind.code), kind.title, status, _marked(meaning), _marked(advice), facts)


def _marked(text: str) -> Markup:
    """Return a text in which code is marked as such."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - Escaped before.


def find(text: str) -> str | None:
    """Return the code that somebody looks for, who may have copied the whole ``type``; None where there is none."""
    code = text.strip().rpartition(":")[2].lower()
    return code if code in errors.ERRORS else None


@page("GET", "/errors")
async def show_errors(call: Call, *, code: str | None = None, ui_locales: str | None = None) -> Reply[bytes]:
    """Show every error, or lead to the one that is asked for."""
    if code is not None and (found := find(code)) is not None:
        return go(call, f"/errors#{found}")
    by_status: dict[int, list[Entry]] = {}
    for each in entries():
        by_status.setdefault(each.status, []).append(each)
    view = {"by_status": by_status, "asked": code, "count": len(entries())}
    return render(call, "errors.html", view, section="errors", viewer=await guest(call), ui_locales=ui_locales)


@page("GET", "/errors/{code}")
async def show_error(call: Call, code: str) -> Reply[bytes]:
    """Lead to an error, by its code or by the whole ``type`` of a problem."""
    found = find(code)
    if found is None:
        raise errors.NotFound("there is no such code")
    return go(call, f"/errors#{found}")
