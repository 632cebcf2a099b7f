"""What a parent and its workers say to each other."""

import contextlib
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from billfold_server.settings import Secret, Settings, load_settings

if TYPE_CHECKING:
    from billfold_server.serving.failures import Failure

__all__ = [
    "Orders",
    "Report",
    "decryptors_orders",
    "read_orders",
    "report_failure",
    "settings_of",
    "settings_sent",
    "simulators_orders",
    "take_sockets",
]


class Orders(msgspec.Struct, frozen=True):
    """What the parent says to a worker.

    Attributes:
        settings: All settings, secrets revealed; the channel is a socket between the two processes alone.
        owns_database: Whether the database is the embedded one, so that the last worker of a killed parent stops it.
    """

    settings: dict[str, Any]
    owns_database: bool


class Report(msgspec.Struct, frozen=True):
    """What a worker says to its parent, once.

    Attributes:
        failure: Why it can't serve, or None as it does.
        exit_code: With what the parent should end then.
    """

    failure: str | None = None
    exit_code: int = 0


def settings_sent(settings: Settings) -> dict[str, Any]:
    """Return settings as they go through the channel."""
    sent: dict[str, Any] = msgspec.to_builtins(settings, enc_hook=_reveal)
    return sent


def decryptors_orders(settings: Settings) -> Orders:
    """Return the orders of a decryptor: no administrator's login is among them."""
    fewer = msgspec.structs.replace(settings, admin_database_url=None, key_store_admin_url=None)
    return Orders(settings_sent(fewer), owns_database=False)


def simulators_orders(settings: Settings) -> Orders:
    """Return the orders of a rail simulator, which needs no database and no key."""
    fewer = msgspec.structs.replace(
        settings, database_url=None, admin_database_url=None, key_store_url=None, key_store_admin_url=None
    )
    return Orders(settings_sent(fewer), owns_database=False)


def settings_of(orders: Orders) -> Settings:
    """Return the settings that came through the channel, checked as at the start; the environment has no say."""
    return load_settings({}, **orders.settings)


def take_sockets() -> list[socket.socket]:
    """Return what the parent has handed to this process, which hands none of it on to processes of its own.

    A descriptor that was handed over is handed on by every event loop that leaves open what it wasn't asked for.
    """
    taken = [socket.socket(fileno=int(number)) for number in sys.argv[1:]]
    for each in taken:
        each.set_inheritable(False)
    return taken


def read_orders(channel: socket.socket) -> Orders | None:
    """Wait for the parent's orders, and return them; None where it has gone before it gave any.

    The channel doesn't block any more then.
    """
    with channel.makefile("rb") as lines:
        line = lines.readline()
    channel.settimeout(0)
    return msgspec.json.decode(line, type=Orders) if line else None


def report_failure(channel: socket.socket, failure: "Failure") -> None:
    """Tell the parent why this process can't serve."""
    report = Report(failure.sentence, failure.exit_code)
    # The descriptor may have gone to the event loop and been closed with it; the exit code says enough then.
    with contextlib.suppress(OSError):
        os.write(channel.fileno(), msgspec.json.encode(report) + b"\n")


def _reveal(value: Any) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError
