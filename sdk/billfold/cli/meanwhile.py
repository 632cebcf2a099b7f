"""What a command says on standard error while it takes long."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Final

import click

__all__ = ["saying"]

_FIRST_S: Final = 2.0
_EVERY_S: Final = 5.0
_LAST_S: Final = 1.0


@contextlib.contextmanager
def saying(look: Callable[[], str] | None, *, first_s: float = _FIRST_S, every_s: float = _EVERY_S) -> Iterator[None]:
    """Say now and then, until the block ends, what a look at it shows; a block that is soon over says nothing.

    Args:
        look: Returns a sentence, in a thread of its own; None says nothing.
        first_s: After how many seconds the first one is said.
        every_s: After how many seconds each further one is.
    """
    if look is None:
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_say, args=(look, over, first_s, every_s), name="billfold-meanwhile", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(_LAST_S)


def _say(look: Callable[[], str], over: threading.Event, first_s: float, every_s: float) -> None:
    wait_s = first_s
    while not over.wait(wait_s):
        sentence = look()
        if not over.is_set():
            click.echo(f"billfold: {sentence}", err=True)
        wait_s = every_s
