"""Shows what the server answers: as the JSON that it is, or as lines and tables that fit the terminal.

It works on plain JSON, so that what a newer server adds is shown too. Amounts are shown as people write them.
"""

import re
import shutil
import string
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from unicodedata import combining, east_asian_width

import click
import msgspec

from billfold.money import AmountError, to_decimal

__all__ = ["show", "table"]

_GAP: Final = 2
_WIDEST_TEXT: Final = 34
_PROSE: Final = frozenset({"behaviour"})
"""Columns of sentences, which are of no use when they are cut: they come last, over as many lines as they need."""
_NARROWEST_PROSE: Final = 24
_BLOCKS: Final[Mapping[frozenset[str], tuple[str, bool]]] = {
    frozenset({"table", "column", "category", "kept"}): ("{table}.{column}", True),
    frozenset({"room", "kind", "data"}): ("{kind} ({room})", False),
}
"""What says too much for a line of a table, or each time something else: by the members by which it is known, how it is
headed, and whether what follows is short enough to stand side by side."""
_INSTANT: Final = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z", re.ASCII)
_ID: Final = re.compile(r"[a-z]{2,4}_[0-9a-z]{26}", re.ASCII)
_FIRST: Final = ("id", "sequence", "slug", "type", "kind", "action", "status", "state", "outcome", "amount", "balances")
_THEN: Final = ("name", "display_name", "label", "client_name", "description", "code", "value", "url", "created_at")
_MINOR: Final = "_minor"
_WIDE: Final = frozenset("FW")
_CONTROL: Final = dict.fromkeys((*range(32), *range(127, 160)), "�")
"""What customers may have typed into a name, and a terminal would obey."""


def show(document: Any, *, as_json: bool) -> None:
    """Print an answer."""
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(document)).decode())
    elif document is None:
        click.echo("Done.")
    elif isinstance(document, dict) and isinstance(document.get("data"), list):
        _show_page(document)
    elif isinstance(document, dict):
        _show_one(document)
    else:
        click.echo(_text(document))


def _show_page(page: dict[str, Any]) -> None:
    cursor = page.get("next_cursor")
    if page["data"]:
        _print_table(page["data"])
    if cursor is None:
        if not page["data"]:
            click.echo("There is nothing.", err=True)
        return
    # So many may have been looked at for a page that none was among them, though others follow.
    said = "There is more" if page["data"] else "There is nothing on this page. Look further"
    click.echo(f"{said}: --all, or --cursor {cursor}", err=True)


def _show_one(document: dict[str, Any]) -> None:
    rows, tables = {}, {}
    for name, value in _flat(document):
        if _is_table(value):
            tables[name] = value
        else:
            rows[name] = _text(value)
    widest = max(map(len, rows), default=0) + _GAP
    for name, text in rows.items():
        click.echo(f"{click.style(f'{name:<{widest}}', bold=True)}{text}")
    for name, value in tables.items():
        click.echo(f"\n{click.style(name, bold=True)}")
        _print_table(value)


def _print_table(items: Sequence[Any]) -> None:
    if (block := _block_of(items)) is not None:
        for each in items:
            _print_block(each, *block)
        return
    head, *lines = table(items).splitlines()
    click.echo("\n".join([click.style(head, bold=True), *lines]))


def _block_of(items: Sequence[Any]) -> tuple[str, bool] | None:
    alike = (
        block for names, block in _BLOCKS.items() if all(isinstance(each, dict) and names <= {*each} for each in items)
    )
    return next(alike, None)


def _print_block(item: dict[str, Any], head: str, together: bool) -> None:  # noqa: FBT001
    """Print an item under a line of its own, with all that it says: names and values, where there are values."""
    known = {name for _, name, _, _ in string.Formatter().parse(head) if name is not None}
    click.echo(click.style(head.format_map({name: _text(item[name]) for name in known}), bold=True))
    told = {name.removeprefix("data."): _text(value) for name, value in _flat(item) if name not in known}
    told = {name: text for name, text in told.items() if text}
    width = shutil.get_terminal_size((80, 24)).columns
    texts = ["; ".join(f"{name}: {text}" for name, text in told.items())]
    widest = 0
    if not together:
        widest = max(map(len, told), default=0) + _GAP
        texts = [f"{name:<{widest}}{text}" for name, text in told.items()]
    for text in texts:
        lines = textwrap.wrap(
            text,
            max(width, widest + 2 * _NARROWEST_PROSE),
            initial_indent=" " * _GAP,
            subsequent_indent=" " * (widest + _GAP),
            break_on_hyphens=False,
        )
        click.echo("\n".join(lines))


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)


def table(items: Sequence[Any], width: int | None = None) -> str:
    """Return items as a table of so many of their columns as fit, the most telling first; ids are never cut."""
    width = shutil.get_terminal_size((80, 24)).columns if width is None else width
    rows = [dict(_flat(each)) if isinstance(each, dict) else {"value": each} for each in items]
    columns: list[tuple[str, list[str], int]] = []
    left = width
    names = _ordered(rows)
    for name in (each for each in names if each not in _PROSE):
        cells = [_text(row.get(name)) for row in rows]
        room = max(len(name), *map(_width, cells))
        if not all(_INSTANT.fullmatch(str(row.get(name))) or _whole(row.get(name)) for row in rows):
            room = min(room, max(_WIDEST_TEXT, len(name)))
        if any(cells) and (not columns or room <= left - _GAP):
            columns.append((name, cells, room))
            left -= room + (_GAP if len(columns) > 1 else 0)
    prose = next((name for name in names if name in _PROSE and left - _GAP >= _NARROWEST_PROSE), None)
    lines = [_line([(name, room, False) for name, _, room in columns] + [(prose or "", len(prose or ""), False)])]
    for number, row in enumerate(rows):
        told = textwrap.wrap(_text(row.get(prose)), left - _GAP) if prose is not None else []
        cells_of = [(cells[number], room, _is_number(row.get(name))) for name, cells, room in columns]
        lines.append(_line([*cells_of, (told[0] if told else "", left, False)]))
        lines += [" " * (width - left + _GAP) + more for more in told[1:]]
    return "\n".join(lines)


def _line(cells: Iterable[tuple[str, int, bool]]) -> str:
    return (" " * _GAP).join(_placed(_cut(text, room), room, right=right) for text, room, right in cells).rstrip()


def _placed(text: str, room: int, *, right: bool) -> str:
    blank = " " * (room - _width(text))
    return blank + text if right else text + blank


def _cut(text: str, room: int) -> str:
    if not text or _width(text) <= room:
        return text
    # Beside an id that is wider than the terminal there is no room at all.
    text = text[: max(room, 0)]
    while text and _width(text) >= room:
        text = text[:-1]
    return text + "…"


def _width(text: str) -> int:
    """Return how many places of a terminal a text takes: two for a character of Chinese, none for an accent."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(each) else 2 if east_asian_width(each) in _WIDE else 1 for each in text)


def _ordered(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of columns, the most telling first and other objects' ids last."""
    names = list(dict.fromkeys(name for row in rows for name, value in row.items() if not _is_nested(name, value)))

    def rank(name: str) -> tuple[int, int]:
        if name in _FIRST:
            return 0, _FIRST.index(name)
        if name in _THEN:
            return 1, _THEN.index(name)
        return (3 if name.endswith("_id") else 2), names.index(name)

    return sorted(names, key=rank)


def _is_nested(name: str, value: Any) -> bool:
    return isinstance(value, dict) or (_is_table(value) and name != "balances")


def _flat(document: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    """Yield the members of an object and of those in it, with money as text."""
    amount = document.get("amount")
    # Of a transfer, what was undone since and the balances after it are in the currency of its amount.
    currency = document.get("currency", amount.get("currency") if isinstance(amount, dict) else None)
    for name, value in document.items():
        full = f"{before}{name}"
        if name.endswith(_MINOR) and isinstance(value, int) and isinstance(currency, str):
            yield full.removesuffix(_MINOR), Amount(_money(value, currency))
        elif isinstance(value, dict) and set(value) == {"amount_minor", "currency"}:
            yield full, Amount(_money(value["amount_minor"], value["currency"]))
        elif isinstance(value, dict) and value:
            yield from _flat(value, f"{full}.")
        else:
            yield full, value


class Amount(str):
    """An amount as it is shown."""

    __slots__ = ()


def _money(amount_minor: int, currency: str) -> str:
    try:
        return f"{to_decimal(amount_minor, currency)} {currency}"
    except AmountError:
        # A currency that only a newer version knows.
        return f"{amount_minor} minor {currency}"


def _text(value: Any) -> str:
    if value is None or value in ({}, []):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_shown(each) for each in value)
    return _instant(str(value)) if isinstance(value, str) else str(value)


def _shown(value: Any) -> str:
    """Return one of several values in a cell: a balance as what is available of it."""
    if isinstance(value, dict) and {"available_minor", "currency"} <= value.keys():
        return _money(value["available_minor"], value["currency"])
    return msgspec.json.encode(value).decode() if isinstance(value, dict) else _text(value)


def _instant(text: str) -> str:
    found = _INSTANT.fullmatch(text)
    return f"{found[1]} {found[2]}Z" if found else text.translate(_CONTROL)


def _whole(value: Any) -> bool:
    """Tell whether a value would be of no use if it were cut."""
    return value is None or isinstance(value, int | Amount) or bool(_ID.fullmatch(str(value)))


def _is_number(value: Any) -> bool:
    return isinstance(value, Amount | int) and not isinstance(value, bool)
