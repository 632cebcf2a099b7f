"""What may be shown once only: DPoP proofs, client assertions and request objects.

Sources: RFC 9449, section 11.1; RFC 7523, section 3, item 7; RFC 9101, section 10.8.

The table decides. So workers share the memory, a restart forgets nothing, and of copies that come at the same instant
PostgreSQL's primary key lets one in. Uses that come while an earlier statement is on its way are written together by
the next one, so a busy realm pays for a commit once per batch and not once per request.

Nearly all that is shown is new. So a batch is written as if all of it were, in one round trip from BEGIN to COMMIT;
only if the primary key refuses it, it is written once more in a way that tells which of it was known.

A request that is one command to the ledger needs no transaction for it: its proof is remembered by the batch in which
the command is decided, so both are committed or neither (ADR 55).
"""

import asyncio
import contextvars
import hashlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import asyncpg
import msgspec
import structlog

from billfold import errors
from billfold.clock import Clock
from billfold.errors import ProblemError
from billfold_server.db.sets import Columns, Write, call, joined
from billfold_server.identity.realms import Realm
from billfold_server.tenancy.context import OneUse
from billfold_server.tenancy.transaction import Tx

if TYPE_CHECKING:
    from billfold_server.tenancy.transaction import Database

__all__ = ["ONE_USES", "Replay", "SeenTokens", "first_use"]

_log = structlog.stdlib.get_logger("billfold.identity")

_INSERT: Final = """
INSERT INTO seen_tokens (digest, expires_at)
SELECT * FROM unnest($1::bytea[], $2::timestamptz[])
ON CONFLICT DO NOTHING
RETURNING digest
"""
_USES: Final = Columns(digest="bytea", expires_at="timestamptz")
_INSERT_NEW: Final = f"INSERT INTO seen_tokens ({_USES.names}) SELECT {_USES.values} FROM {_USES.rows}"  # noqa: S608 - constants
_SWEEP: Final = """
DELETE FROM seen_tokens WHERE digest IN (
    SELECT digest FROM seen_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
"""
_MARGIN: Final = timedelta(seconds=90)
"""How much longer than it would be believed each use is remembered: clocks of two machines differ a little.

What is remembered with a command is looked at when its request comes in, and written when that has come as a whole and
is carried out. By then it may be as late as ``_LATE``; the rest is for clocks, and for PostgreSQL to write it.
"""
_LATE: Final = timedelta(seconds=15)

_LONGEST_BATCH: Final = 500
_SWEEP_EVERY_S: Final = 5.0
_SWEEP_ROWS: Final = 1_000
_REALMS: Final = 10_000
_RECENT_S: Final = 90.0
_RECENT: Final = 200_000
"""For how long a process knows by heart what it has let pass to commands, and how much of it, twice at most."""


class SeenTokens:
    """How the ledger remembers, with a batch of commands, what their requests have shown; see ``ledger.protocol``."""

    @staticmethod
    def writes(uses: Sequence[OneUse]) -> Write:
        """Return what remembers them; it fails with a unique violation where one of them was shown before."""
        # In the order of all others who write several: else two could wait for each other.
        uses = sorted(uses, key=_digest_of)
        return Write(_INSERT_NEW, _USES.arguments([use.digest for use in uses], [use.expires_at for use in uses]))

    @staticmethod
    async def remember(tx: Tx, uses: Sequence[OneUse]) -> set[bytes]:
        """Remember them, and return the digests of those that weren't shown before."""
        uses = sorted(uses, key=_digest_of)
        rows = await tx.fetch(_INSERT, [use.digest for use in uses], [use.expires_at for use in uses])
        return {row["digest"] for row in rows}


ONE_USES: Final = SeenTokens()


def _digest_of(use: OneUse) -> bytes:
    return use.digest


async def first_use(tx: Tx, purpose: str, owner: str, jti: str, expires_at: datetime) -> bool:
    """Tell whether something is shown for the first time, and remember it, in an open transaction.

    A copy that is being shown in another transaction is waited for. Where nothing else is written, ``Replay`` is
    quicker.

    Args:
        tx: An open transaction of the realm.
        purpose: What it is, such as ``dpop``; the same id may be used once for each purpose.
        owner: Whose it is: the client's id, or the thumbprint of the key.
        jti: Its id.
        expires_at: Until when it would be believed, on the real clock.
    """
    digest = _digest(purpose, owner, jti)
    return bool(await tx.fetch(_INSERT, [digest], [expires_at + _MARGIN]))


def _digest(purpose: str, owner: str, jti: str) -> bytes:
    parts = (purpose.encode(), owner.encode(), jti.encode())
    return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()


class _Use(msgspec.Struct, eq=False):
    digest: bytes
    expires_at: datetime
    answer: "asyncio.Future[bool]"


class _Line(msgspec.Struct, eq=False):
    """Those who wait at one realm, and who writes for them."""

    waiting: deque[_Use] = msgspec.field(default_factory=deque)
    writer: "asyncio.Task[None] | None" = None


class Replay:
    """Remembers what was shown, for all realms of one process.

    Args:
        database: Where it is remembered.
        clock: The real clock.
    """

    def __init__(self, database: "Database", clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._lines: dict[str, _Line] = {}
        self._swept: dict[str, float] = {}
        self._recent: set[int] = set()
        self._before: set[int] = set()
        self._parted_at = time.monotonic()
        self._sweeping: dict[str, asyncio.Task[None]] = {}
        self._tried: dict[str, float] = {}

    def later(
        self,
        realm: Realm,
        purpose: str,
        owner: str,
        jti: str,
        expires_at: datetime,
        *,
        refusal: Callable[[], ProblemError],
    ) -> OneUse | None:
        """Return what is to be remembered with the one command of a request, or by ``settle`` where there is none.

        Arguments are those of ``first_use``, and ``refusal`` makes what is answered where it was shown before.

        Returns:
            None where it was shown to this process lately. A copy ends the batch that it gets into, so who shows the
            same over and over must get no further than this.
        """
        digest = _digest(purpose, owner, jti)
        known = hash((realm.owner, digest))
        if known in self._recent or known in self._before:
            return None
        now = time.monotonic()
        if now - self._parted_at >= _RECENT_S or len(self._recent) >= _RECENT:
            self._recent, self._before, self._parted_at = set(), self._recent, now
        self._recent.add(known)
        self._sweep_beside(realm, now)
        return OneUse(digest, expires_at + _LATE, expires_at + _MARGIN, refusal)

    async def settle(self, realm: Realm, shown: OneUse) -> None:
        """Remember what no command has taken along, or what has come to nothing with its command.

        Raises:
            ProblemError: It was shown before, or too long ago; or the database didn't answer.
        """
        shown.taken = shown.settled = True
        if self._clock.now() >= shown.late_at or not await self._use(realm, shown.digest, shown.expires_at):
            raise shown.refusal()

    async def first_use(self, realm: Realm, purpose: str, owner: str, jti: str, expires_at: datetime) -> bool:
        """Tell whether something is shown for the first time, and remember it. The answer is on disk when it comes.

        Must not be awaited inside of an open transaction; there, the function of the same name is meant. Arguments are
        those of that function.

        Raises:
            errors.BillfoldError: The database didn't answer; then it isn't a first use either.
        """
        return await self.use(realm, purpose, owner, jti, expires_at)

    def use(self, realm: Realm, purpose: str, owner: str, jti: str, expires_at: datetime) -> "asyncio.Future[bool]":
        """Have something remembered, and return what will tell whether it is shown for the first time.

        What one request shows of several kinds is written together so, where ``first_use`` would wait for each.
        Arguments and errors are those of ``first_use``; nobody need ask for the answer.
        """
        return self._use(realm, _digest(purpose, owner, jti), expires_at + _MARGIN)

    def _use(self, realm: Realm, digest: bytes, until: datetime) -> "asyncio.Future[bool]":
        line = self._lines.get(realm.owner)
        if line is None:
            line = self._lines[realm.owner] = _Line()
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        line.waiting.append(_Use(digest, until, answer))
        if line.writer is None:
            line.writer = asyncio.create_task(self._write(realm, line))
        answer.add_done_callback(_heard)
        return answer

    async def _write(self, realm: Realm, line: _Line) -> None:
        """Write batch after batch for as long as somebody waits."""
        batch: list[_Use] = []
        try:
            while line.waiting:
                batch = [line.waiting.popleft() for _ in range(min(len(line.waiting), _LONGEST_BATCH))]
                try:
                    fresh = await self._insert(realm, batch)
                except Exception as error:  # noqa: BLE001 - each of those who wait is told
                    _settle(batch, error)
                else:
                    _settle(batch, fresh)
                    await self._sweep(realm)
        finally:
            line.writer = None
            self._lines.pop(realm.owner, None)
            # Only if this task itself was ended is there anybody left.
            for use in (*batch, *line.waiting):
                use.answer.cancel()

    async def _insert(self, realm: Realm, batch: Sequence[_Use]) -> set[bytes]:
        """Return the digests that are new, and on disk by now."""
        # Workers that write the same digests in another order would wait for each other in a circle.
        rows = sorted({use.digest: use.expires_at for use in reversed(batch)}.items())
        digests, ends = [digest for digest, _ in rows], [expires_at for _, expires_at in rows]
        try:
            await self._insert_new(realm, digests, ends)
        except (asyncpg.UniqueViolationError, errors.DatabaseUnavailable):
            # Some of them were shown before, or the connection was one that has died while it was idle: in either case
            # nothing of this was written.
            async with self._database.tx_of(realm.tenant) as tx:
                fresh = await tx.fetch(_INSERT, digests, ends)
            return {row["digest"] for row in fresh}
        return set(digests)

    async def _insert_new(self, realm: Realm, digests: list[bytes], ends: list[datetime]) -> None:
        """Write what must all be new, in one round trip.

        Raises:
            asyncpg.UniqueViolationError: Something of it was shown before; then nothing is written.
        """
        writes = [Write(_INSERT_NEW, _USES.arguments(digests, ends))]
        async with self._database.tx_of(realm.tenant, at_once=True) as tx:
            name, first = tx.statement(joined(writes))
            tx.end_with(f"{first}{call(name, writes)}")

    async def _sweep(self, realm: Realm) -> bool:
        """Forget what has expired, a little now and then: whoever adds rows takes rows away, so they stay few.

        Returns:
            Whether there is nothing left to be done, or nothing to be done now.
        """
        if time.monotonic() - self._swept.get(realm.owner, 0.0) < _SWEEP_EVERY_S:
            return True
        try:
            async with self._database.tx_of(realm.tenant) as tx:
                tag = await tx.execute(_SWEEP, self._clock.now(), _SWEEP_ROWS)
        except Exception:  # noqa: BLE001 - nobody's request depends on it, and the next batch tries again
            _log.warning("what has expired couldn't be forgotten", realm=realm.owner, exc_info=True)
            return True
        if tag == f"DELETE {_SWEEP_ROWS}":
            return False
        if len(self._swept) >= _REALMS:
            self._swept.clear()
        self._swept[realm.owner] = time.monotonic()
        return True

    def _sweep_beside(self, realm: Realm, now: float) -> None:
        """Sweep for those who add rows by commands, and not again at once where that has failed."""
        if realm.owner in self._sweeping or now - self._tried.get(realm.owner, 0.0) < _SWEEP_EVERY_S:
            return
        if len(self._tried) >= _REALMS:
            self._tried.clear()
        self._tried[realm.owner] = now
        task = asyncio.get_running_loop().create_task(self._sweep_all(realm), context=contextvars.Context())
        self._sweeping[realm.owner] = task
        task.add_done_callback(lambda _: self._sweeping.pop(realm.owner, None))

    async def _sweep_all(self, realm: Realm) -> None:
        while not await self._sweep(realm):
            pass


def _heard(answer: "asyncio.Future[bool]") -> None:
    """Take note of a failure also where nobody waits for the answer any longer."""
    if not answer.cancelled():
        answer.exception()


def _settle(batch: Sequence[_Use], outcome: set[bytes] | Exception) -> None:
    """Answer everybody of a batch; of copies in one batch the one who came first is the first."""
    for use in batch:
        if use.answer.done():
            # Whoever asked has gone away. What it showed counts as used.
            pass
        elif isinstance(outcome, Exception):
            use.answer.set_exception(outcome)
            continue
        else:
            use.answer.set_result(use.digest in outcome)
        if isinstance(outcome, set):
            outcome.discard(use.digest)
