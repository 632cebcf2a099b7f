"""What rooms give the engine, and what they get: kinds of command, types of row, and answers."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import msgspec

from billfold.errors import ProblemError
from billfold_server.db.sets import Write
from billfold_server.http.routing import IdempotencyRef
from billfold_server.ledger.books import Books, Draft
from billfold_server.ledger.rows import Row
from billfold_server.tenancy.context import Caller, OneUse
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "Answer",
    "Foresee",
    "Guarding",
    "Keys",
    "Kind",
    "Loader",
    "OneUses",
    "Order",
    "Presumed",
    "Reply",
    "Store",
    "Writer",
]

B = TypeVar("B")

Keys = Mapping[type, Sequence[Hashable]]
"""What a command needs to be loaded: keys by the type of row."""

Presumed = Sequence[Row]
"""Rows as whoever gives a command has seen them a moment ago, each of a type that can be guarded."""


class Reply(msgspec.Struct, frozen=True):
    """What an accepted command answers."""

    status: int
    response: Any


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a command, encoded once.

    Attributes:
        status: The HTTP status that the idempotency record keeps.
        body: The JSON that was answered, to the byte.
        replayed: Whether it is the answer to an earlier request with the same key.
        error: The refusal, where it was one and happened just now.
    """

    status: int
    body: bytes
    replayed: bool = False
    error: ProblemError | None = None


Foresee = Callable[[Answer], None]
"""Is told what a command will be answered if what was decided is committed, while it is being written.

It may get ready for that, and nothing may come of it before the command is answered: writing may fail, and the command
may then be refused, or decided again with another answer. It must not wait, and isn't told of refusals and copies.
"""


class Kind(Generic[B]):
    """A kind of command.

    Args:
        name: What it is called in logs and metrics.
        keys: Names the rows that a decision needs. It is asked again after each load, with a draft that knows what was
            loaded, until it names nothing new; so a hold can name the accounts that it turned out to concern.
        decide: Decides on a draft, or raises a ``ProblemError``. Pure.
        long: Whether a decision may take so long that it goes to a thread, where other tenants don't wait for it.
        sees_grant: Whether it is seen with the decision that what a user has allowed the caller still stands. It is for
            kinds that load what others change anyway; for all others a transaction before looks at it.
        presumes: Returns what the caller has seen of the rows that others than commands change. On these it may be
            decided before the ledger is taken; when it is written, they must still be the same.
    """

    def __init__(
        self,
        name: str,
        keys: Callable[[Books, B], Keys],
        decide: Callable[[Draft, B], Reply],
        *,
        long: bool = False,
        sees_grant: bool = False,
        presumes: Callable[[Caller, B], Presumed] | None = None,
    ) -> None:
        self.name = name
        self.long = long
        self.sees_grant = sees_grant
        self.presumes = presumes
        self.keys = keys
        self.decide = decide


@runtime_checkable
class Loader(Protocol):
    """How the engine loads one type of row on behalf of its room, set by set."""

    @property
    def row_type(self) -> type:
        """The type of row."""
        ...

    @property
    def cached(self) -> bool:
        """Whether rows once known stay known to the process: only commands change them, and they come up again."""
        ...

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return the rows that exist, by key, in one query."""
        ...


@runtime_checkable
class Guarding(Loader, Protocol):
    """How rows that others than commands change are held to what was presumed of them."""

    def guard(self, rows: Sequence[Any]) -> Write:
        """Return a condition that holds where all these rows are there and as they were seen, and keeps them so."""
        ...


@runtime_checkable
class Writer(Protocol):
    """How the engine writes one type of row on behalf of its room, set by set."""

    @property
    def row_type(self) -> type:
        """The type of row."""
        ...

    def writes(self, rows: Sequence[Any], before: Mapping[Hashable, Any]) -> list[Write]:
        """Return what inserts or updates the rows.

        Args:
            rows: As they are to be.
            before: By key, as they were before the batch; None where there was none.
        """
        ...


class OneUses(Protocol):
    """How what requests have shown, and what counts once, is remembered with the commands that they give."""

    def writes(self, uses: Sequence[OneUse]) -> Write:
        """Return what remembers all of them, and fails with a unique violation where one was shown before."""
        ...

    async def remember(self, tx: TenantTx, uses: Sequence[OneUse]) -> set[bytes]:
        """Remember them, and return the digests of those that weren't shown before."""
        ...


Store = Loader | Writer
"""A type of row that the engine loads, writes, or both."""

Order = tuple[Kind[Any], Any, IdempotencyRef | None]
"""A command to be given: its kind, its body, and under which key it may be repeated."""
