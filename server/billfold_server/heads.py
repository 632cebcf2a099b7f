"""Heads of hash chains on the command line, as people keep them."""

from collections.abc import Callable
from typing import Any, BinaryIO

import click
import msgspec

from billfold.chain import HASH_BYTES, Head

__all__ = ["head_text", "kept_head", "kept_head_options", "read_head"]


def kept_head_options(what: str, command: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a command be told a head that was kept earlier: as ``trusted``, or as a file in ``kept``.

    Args:
        what: What must contain it.
        command: By which such a file is written.
    """
    contains = f"A head that was kept earlier; the {what} must contain it."
    trusted = click.option("--trusted", metavar="NUMBER:HASH", help=contains)
    written = f"The file of such a head, as {command} --json has written it."
    kept = click.option("--head", "kept", type=click.File("rb"), help=written)
    return lambda function: trusted(kept(function))


def kept_head(trusted: str | None, kept: BinaryIO | None, command: str) -> Head | None:
    """Return the head that was kept, in whichever way it was given; None where it wasn't.

    Args:
        trusted: As a text.
        kept: As a file.
        command: By which such a file is written.

    Raises:
        click.UsageError: It was given in both ways, or it is none.
    """
    if trusted is not None and kept is not None:
        msg = "give --trusted or --head"
        raise click.UsageError(msg)
    if kept is None:
        return None if trusted is None else read_head(trusted)
    try:
        read: dict[str, Any] = msgspec.json.decode(kept.read(), type=dict[str, Any])
        text = f"{read['number']}:{read['hash']}"
    except (msgspec.MsgspecError, KeyError):
        msg = f"it isn't what {command} --json has written"
        raise click.BadParameter(msg, param_hint="--head") from None
    return read_head(text, "--head")


def head_text(head: Head) -> str:
    """Return a chain's head as people keep it: its number, a colon and its hash in hexadecimal."""
    return f"{head.number}:{head.hash.hex()}"


def read_head(text: str, option: str = "--trusted") -> Head:
    """Read a head that somebody has kept.

    Args:
        text: What ``head_text`` has returned.
        option: Where it was given.

    Raises:
        click.BadParameter: It is none.
    """
    number, _, digest = text.partition(":")
    try:
        head = Head(number=int(number), hash=bytes.fromhex(digest))
    except ValueError:
        head = None
    # Of a head that no chain can have nothing would be seen.
    if head is None or head.number < 0 or len(head.hash) != HASH_BYTES:
        raise click.BadParameter("it is a number, a colon and a hash in hexadecimal", param_hint=option)
    return head
