"""Faults between a server and its decryptor, and how to see whether it was asked."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from billfold_server.decryptor.client import PATIENCE_S
from billfold_server.decryptor.service import Client
from tests.live import LiveServer

__all__ = ["Watched", "away", "paused"]


class Watched:
    """The server's decryptor, and what it was asked.

    Attributes:
        asked: The names of what was called, in order.
    """

    def __init__(self, decryptor: Any) -> None:
        self.decryptor = decryptor
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        """Note what is asked, and ask it."""
        self.asked.append(name)
        return getattr(self.decryptor, name)


@contextlib.contextmanager
def away(live: LiveServer, folder: Path) -> Iterator[None]:
    """Let the server look for its decryptor where there is none."""
    decryptor = live.services.decryptor.decryptor
    client = decryptor.client
    decryptor.client = Client(folder, b"x" * 32, patience_s=0.2)
    try:
        yield
    finally:
        decryptor.client = client


@contextlib.contextmanager
def paused(live: LiveServer) -> Iterator[None]:
    """Stop the decryptor's process where it stands. The server waits for it as long as outside of tests."""
    client = live.services.decryptor.decryptor.client
    pid = live.run(client.look()).pid
    patient_s, client._patience_s = client._patience_s, PATIENCE_S
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
        client._patience_s = patient_s
