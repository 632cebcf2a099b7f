"""What the simulator remembers: every order, and how often it was asked about, in a file that outlives it."""

import sqlite3
from pathlib import Path

import msgspec

from billfold_server.connectors.simulator import rules
from billfold_server.connectors.words import Instruction, Report

__all__ = ["AnotherOrder", "Orders"]

_TABLE = """
CREATE TABLE IF NOT EXISTS orders (
    key TEXT PRIMARY KEY, instruction BLOB NOT NULL, submissions INTEGER NOT NULL, inquiries INTEGER NOT NULL
) STRICT
"""
_SUBMIT = """
INSERT INTO orders (key, instruction, submissions, inquiries) VALUES (?, ?, 1, 0)
ON CONFLICT (key) DO UPDATE SET submissions = submissions + 1
RETURNING instruction, submissions, inquiries
"""
_INQUIRE = "UPDATE orders SET inquiries = inquiries + 1 WHERE key = ? RETURNING instruction, submissions, inquiries"
_BACK = "UPDATE orders SET inquiries = inquiries - 1 WHERE key = ?"


class AnotherOrder(Exception):
    """Under this key another order was given."""


class Orders:
    """The orders that were given.

    An order is durable before it is answered, so a simulator that is killed answers after that as it would have.

    Args:
        folder: Where the file is.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = sqlite3.connect(folder / "orders.sqlite", isolation_level=None)
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("PRAGMA synchronous = FULL")
        self._file.execute(_TABLE)

    def submit(self, instruction: Instruction) -> Report | None:
        """Take an order, and return what is said of it; None is no answer.

        Raises:
            AnotherOrder: Under its key another one was given.
        """
        body = msgspec.json.encode(instruction)
        kept, submissions, inquiries = self._file.execute(_SUBMIT, (instruction.key, body)).fetchone()
        if bytes(kept) != body:
            raise AnotherOrder
        behaviour = rules.behaviour_of(instruction)
        if submissions <= behaviour.lost or not behaviour.answers_orders:
            return None
        return rules.report(instruction.key, behaviour.sayings, inquiries)

    def inquire(self, key: str) -> Report | None:
        """Return what has been said of an order; None is no answer.

        Raises:
            KeyError: No such order was taken.
        """
        found = self._file.execute(_INQUIRE, (key,)).fetchone()
        if found is None:
            raise KeyError(key)
        instruction = msgspec.json.decode(found[0], type=Instruction)
        behaviour = rules.behaviour_of(instruction)
        if not behaviour.answers_inquiries:
            return None
        if found[1] <= behaviour.lost:
            self._file.execute(_BACK, (key,))
            raise KeyError(key)
        return rules.report(key, behaviour.sayings, found[2])

    def close(self) -> None:
        """Close the file."""
        self._file.close()
