"""Heads of hash chains on the command line, as people keep them."""

import click

from billfold.chain import HASH_BYTES, Head

__all__ = ["head_text", "read_head"]


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
