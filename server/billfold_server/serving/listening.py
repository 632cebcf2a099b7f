"""The one socket that all workers listen on, and who has it if we can't."""

import contextlib
import errno
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from billfold_server.serving.failures import Exit, Failure

__all__ = ["holder_of", "is_any", "listen", "reachable_host"]

_BACKLOG = 2048
_POLL_S = 0.05
_UNTAKEN_MS = 60_000
"""After how long a connection ends whose client takes nothing of what was sent to it; nginx waits as long."""
_ANY = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - Compared with, not bound.


def is_any(host: str) -> bool:
    """Tell whether an address stands for all of this machine's."""
    return host in _ANY


def reachable_host(host: str) -> str:
    """Return a host name by which this machine reaches a server that listens on an address."""
    if is_any(host):
        return "[::1]" if host == "::" else "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def listen(
    host: str,
    port: int,
    *,
    option: str = "--port",
    may_become_free: Callable[[], bool] = lambda: False,
    patience_s: float = 30.0,
) -> socket.socket:
    """Return a listening socket.

    Args:
        host: An address or a name of this machine.
        port: The port; 0 takes a free one.
        option: Where another one can be chosen.
        may_become_free: Tells whether whoever has the port is about to go, so that waiting makes sense.
        patience_s: How long to wait then.

    Raises:
        Failure: The port is taken, or the address isn't ours to listen on.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return _bind(host, port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and may_become_free() and time.monotonic() < deadline:
                time.sleep(_POLL_S)
                continue
            raise _explained(error, host, port, option) from error


def _bind(host: str, port: int) -> socket.socket:
    (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    listener = socket.socket(family, kind, protocol)
    try:
        # Connections that linger from a server before are no obstacle; one that listens is.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Else who asks and never reads keeps a worker's memory for ever, and each stop waits for them in vain. Accepted
        # connections have it from here. Linux alone knows it (tcp(7)).
        if sys.platform == "linux":
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNTAKEN_MS)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.settimeout(0)
    except BaseException:
        listener.close()
        raise
    return listener


def _explained(error: OSError, host: str, port: int, option: str) -> Failure:
    if error.errno == errno.EADDRINUSE:
        holder = holder_of(port)
        who = f"process {holder}" if holder is not None else f"another program (lsof -i :{port} names it)"
        return Failure(
            "port_in_use",
            f"Port {port} is in use by {who}: stop it, or choose another port with {option}.",
            Exit.PORT,
            port=port,
            holder=holder,
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return Failure(
            "port_not_allowed",
            f"This user may not listen on port {port}: choose one above 1023 with {option}.",
            Exit.NOT_ALLOWED,
            port=port,
        )
    return Failure(
        "address_unusable",
        f"This machine can't listen on {host} ({error.strerror}): choose one of its own addresses with --host.",
        Exit.PORT,
        host=host,
    )


def holder_of(port: int) -> str | None:
    """Return who listens on a TCP port, as ``number (name)``, where the system tells us.

    Linux lists sockets by inode in /proc/net, and each process's own in /proc/<pid>/fd. Those of other users are closed
    to us, and other systems have no /proc; then nobody is named.
    """
    inodes = _listening_inodes(port)
    for folder in Path("/proc").glob("[0-9]*") if inodes else ():
        with contextlib.suppress(OSError):
            for link in (folder / "fd").iterdir():
                # Links that vanish while we look belong to nobody we want.
                with contextlib.suppress(OSError):
                    if str(link.readlink()) in inodes:
                        return f"{folder.name} ({(folder / 'comm').read_text().strip()})"
    return None


def _listening_inodes(port: int) -> set[str]:
    found: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                # The local address is in hexadecimal, and 0A means LISTEN (linux/net/tcp_states.h).
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{fields[9]}]")
    return found
