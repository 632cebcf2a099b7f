"""What the simulator remembers: every order, and how often it was asked about, in a file that outlives it."""

import sqlite3
from pathlib import Path

import msgspec

from billfold_server.connectors.simulator import rules
from billfold_server.connectors.words import Credit, Instruction, Report

__all__ = ["AnotherOrder", "Orders"]

_TABLE = """
CREATE TABLE IF NOT EXISTS orders (
    key TEXT PRIMARY KEY, instruction BLOB NOT NULL, submissions INTEGER NOT NULL, inquiries INTEGER NOT NULL
) STRICT
"""
_PLAYED = """
CREATE TABLE IF NOT EXISTS played (key TEXT PRIMARY KEY, reason TEXT NOT NULL) STRICT
"""
_CREDITS = """
CREATE TABLE IF NOT EXISTS credits (
    mailbox TEXT NOT NULL, key TEXT NOT NULL, credit BLOB NOT NULL, answered INTEGER NOT NULL,
    PRIMARY KEY (mailbox, key)
) STRICT
"""
_SUBMIT = """
INSERT INTO orders (key, instruction, submissions, inquiries) VALUES (?, ?, 1, 0)
ON CONFLICT (key) DO UPDATE SET submissions = submissions + 1
RETURNING instruction, submissions, inquiries
"""
_INQUIRE = "UPDATE orders SET inquiries = inquiries + 1 WHERE key = ? RETURNING instruction, submissions, inquiries"
_ANNOUNCE = """
INSERT INTO credits (mailbox, key, credit, answered) VALUES (?, ?, ?, 0)
ON CONFLICT (mailbox, key) DO UPDATE SET key = excluded.key
RETURNING credit
"""
_WAITING = "SELECT credit FROM credits WHERE mailbox = ? AND key = ? AND answered = 0"
_ANSWER = "UPDATE credits SET answered = 1 WHERE mailbox = ? AND key = ?"
_EMPTY = "DELETE FROM credits WHERE mailbox = ?"
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
        for table in (_TABLE, _PLAYED, _CREDITS):
            self._file.execute(table)

    def submit(self, instruction: Instruction, *, rejects: str | None = None) -> Report | None:
        """Take an order, and return what is said of it; None is no answer.

        Args:
            instruction: The order.
            rejects: For which reason it is rejected, whatever it says itself, if it is new.

        Raises:
            AnotherOrder: Under its key another one was given.
        """
        body = msgspec.json.encode(instruction)
        kept, submissions, inquiries = self._file.execute(_SUBMIT, (instruction.key, body)).fetchone()
        if bytes(kept) != body:
            raise AnotherOrder
        if rejects is not None and submissions == 1:
            self._file.execute("INSERT INTO played (key, reason) VALUES (?, ?)", (instruction.key, rejects))
        behaviour = self._behaviour_of(instruction)
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
        behaviour = self._behaviour_of(instruction)
        if not behaviour.answers_inquiries:
            return None
        if found[1] <= behaviour.lost:
            self._file.execute(_BACK, (key,))
            raise KeyError(key)
        return rules.report(key, behaviour.sayings, found[2])

    def announce(self, mailbox: str, credit: Credit) -> None:
        """Have money for whoever has a mailbox; however often it is announced, it is there once.

        Raises:
            AnotherOrder: Under its key there was other money.
        """
        body = msgspec.json.encode(credit)
        (kept,) = self._file.execute(_ANNOUNCE, (mailbox, credit.key, body)).fetchone()
        if bytes(kept) != body:
            raise AnotherOrder

    def find_credit(self, mailbox: str, key: str) -> Credit | None:
        """Return the money of a name that nobody has answered yet."""
        row = self._file.execute(_WAITING, (mailbox, key)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=Credit)

    def answer(self, mailbox: str, key: str) -> None:
        """Note that money was taken, or sent back."""
        self._file.execute(_ANSWER, (mailbox, key))

    def empty(self, mailbox: str) -> None:
        """Forget all money that was ever there for a mailbox."""
        self._file.execute(_EMPTY, (mailbox,))

    def _behaviour_of(self, instruction: Instruction) -> rules.Behaviour:
        played = self._file.execute("SELECT reason FROM played WHERE key = ?", (instruction.key,)).fetchone()
        return rules.behaviour_of(instruction) if played is None else rules.rejection(played[0])

    def close(self) -> None:
        """Close the file."""
        self._file.close()
