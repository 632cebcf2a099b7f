"""What the rooms' commands have in common."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

import click
import msgspec

if TYPE_CHECKING:
    from billfold_server.http.services import Services

__all__ = ["OpenServices", "counted", "ending_in_order", "json_line", "json_option", "print_json", "refuse"]

_REFUSED: Final = 1

OpenServices: TypeAlias = Callable[[], AbstractAsyncContextManager["Services"]]
"""Opens the server's parts for a command, and closes them after."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")


def json_line(document: object) -> str:
    """Return a result as one line of JSON, as programs read it."""
    return msgspec.json.encode(document).decode()


def print_json(document: object) -> None:
    """Print a result as one JSON document, as people read it too."""
    click.echo(msgspec.json.format(msgspec.json.encode(document)).decode())


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return how many there are of something, as a sentence says it.

    Args:
        number: How many.
        one: What stands behind 1.
        many: What stands behind any other number; the same with an s where absent.
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def refuse(code: str, sentence: str, *, as_json: bool, **facts: object) -> NoReturn:
    """End a command that was understood and can't be carried out, in the form that all refusals have.

    Args:
        code: Stable, machine-readable name of why.
        sentence: What is wrong and what to do, for people.
        as_json: Whether programs read it.
        facts: Details for these, by name.
    """
    if as_json:
        error = {"code": code, "detail": sentence, "exit_code": _REFUSED, "facts": facts}
        click.echo(json_line({"error": error}), err=True)
    else:
        click.echo("\n".join(f"billfold: {line}" for line in sentence.splitlines()), err=True)
    raise click.exceptions.Exit(_REFUSED)


@contextmanager
def ending_in_order(asked_by: list[int]) -> Iterator[None]:
    """Let whatever asks this process to end do so as a Ctrl-C does, and note what that was.

    Else a database that a command has started would stay for nobody, and half of an export lie about. Who runs a server
    hears these signals itself.
    """

    def end(number: int, frame: FrameType | None) -> None:
        asked_by.append(number)
        # Where something is waited for, the work itself takes back what it has begun. Raising here cuts that short.
        hear = signal.getsignal(signal.SIGINT)
        if not callable(hear):
            raise KeyboardInterrupt
        hear(signal.SIGINT, frame)

    heard = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if threading.current_thread() is threading.main_thread() and signal.getsignal(number) is signal.SIG_DFL
    ]
    for number in heard:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in heard:
            if signal.getsignal(number) is end:
                signal.signal(number, signal.SIG_DFL)
