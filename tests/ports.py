"""Ports for servers that have to be told theirs before they start."""

import contextlib
import socket
import sys
from collections.abc import Iterator

__all__ = ["held"]


@contextlib.contextmanager
def held(count: int) -> Iterator[list[int]]:
    """Keep ports that nobody has until the block ends, so that nobody but who is told of them can have them.

    On Linux whoever says that addresses may be reused, as servers do, can listen where we are bound and don't listen;
    who asks for any port isn't given it. Elsewhere the ports are free when the block begins, and that is all.
    """
    with contextlib.ExitStack() as stack:
        keeping = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in keeping:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.bind(("127.0.0.1", 0))
        ports: list[int] = [each.getsockname()[1] for each in keeping]
        if sys.platform != "linux":
            stack.close()
        yield ports
