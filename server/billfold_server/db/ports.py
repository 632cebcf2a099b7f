"""Ports of this machine's own address, for the servers that a development server starts beside itself."""

import secrets
import socket
from collections.abc import Iterator
from typing import Final

__all__ = ["HOST", "free_ports", "is_free"]

HOST: Final = "127.0.0.1"
_FIRST_PORT, _PORTS = 20_000, 10_000
"""Ports to choose from, below those that systems give to outgoing connections, which could take ours."""


def free_ports() -> Iterator[int]:
    """Yield ports on which a server can listen, each once, as chance has it."""
    return filter(is_free, secrets.SystemRandom().sample(range(_FIRST_PORT, _FIRST_PORT + _PORTS), _PORTS))


def is_free(port: int) -> bool:
    """Tell whether a server can listen on a port."""
    with socket.socket() as probe:
        # As PostgreSQL does: connections that linger from a server before are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
