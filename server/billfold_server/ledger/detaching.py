"""Months that leave the ledger: verified, archived, sealed by a checkpoint, and detached.

A month goes in one transaction of the owner's, under the ledger's lock: the checkpoint becomes a record of the chain in
a link of its own, the balances at its place are kept, and the month's partitions are detached. So nobody ever sees the
one without the other, and a checkpoint that is changed later contradicts every head since.
"""

import asyncio
import contextlib
import fcntl
import filecmp
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final
from uuid import UUID, uuid4

import msgspec

from billfold import chain, errors, ids
from billfold.chain.lines import name_of
from billfold.chain.records import (
    CheckpointRecord,
    EndRecord,
    JournalEntryRecord,
    LinkRecord,
    Record,
    encode_record,
    read_record,
)
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.ledger.checkpoints import find_checkpoint
from billfold_server.ledger.export import STATEMENT_TIMEOUT_MS, read_entries, verify_ledger
from billfold_server.tenancy.context import Caller, TenantRef
from billfold_server.tenancy.service import Tenants, bounds, let_erase, month_of, partition_name
from billfold_server.tenancy.transaction import Database, TenantTx, Tx

__all__ = ["DetachRefusedError", "Detached", "detach", "kept_from"]

_PRIVATE: Final = 0o600
_PRIVATE_FOLDER: Final = 0o700
_MONTHS: Final = 12
_PAUSES_S: Final = (0.25, 0.5, 1.0, 2.0)
_LAST: Final = "SELECT id FROM journal_entries WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT 1"


class DetachRefusedError(Exception):
    """Nothing was detached, or nothing more.

    Attributes:
        reason: ``retention``, ``ledger_damaged``, ``statements``, ``archive_damaged``, ``archive_exists`` or
            ``under_way``.
        fact: What was found, as half a sentence.
    """

    def __init__(self, reason: str, fact: str) -> None:
        super().__init__(fact)
        self.reason = reason
        self.fact = fact


class Detached(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one month.

    Attributes:
        month: Which one, ``2024-01``.
        journal_entries: How many there were.
        checkpoint: The number of the checkpoint that seals it; absent for a month in which nothing was posted.
        archive: The file in which it is kept; absent where it stays in the database, as tables of the owner's alone,
            and where nothing was posted.
    """

    month: str
    journal_entries: int
    checkpoint: int | None
    archive: str | None


def kept_from(now: datetime, retention_months: int) -> date:
    """Return the first month that must stay: so many are kept before the present one.

    Args:
        now: The real time.
        retention_months: As the tenant's manifest says.
    """
    present = month_of(now)
    count = present.year * _MONTHS + present.month - 1 - retention_months
    return date(count // _MONTHS, count % _MONTHS + 1, 1)


async def detach(
    database: Database,
    tenants: Tenants,
    tenant: TenantRef,
    *,
    before: date,
    archive: Path | None,
    reason: str,
    caller: Caller,
    stated: Callable[[], Awaitable[UUID]] | None = None,
    left: Callable[[Detached], None] = lambda _: None,
) -> list[Detached]:
    """Detach whole months from a tenant's ledger, oldest first.

    The whole ledger is verified before anything is detached. Whatever stops the work, each month has left the ledger or
    it hasn't; doing it again goes on.

    Args:
        database: Where the tenant is.
        tenants: What has the administrator's rights.
        tenant: Whose ledger it is.
        before: The first month that stays.
        archive: The folder for the months' files. Once a month is in its file, its tables are dropped.
        reason: Why, for the audit.
        caller: Who does it.
        stated: Makes customers' account statements that are due, and returns the last entry that they are made of. What
            leaves before can be in none any more. Where absent, none are looked at.
        left: Told of each month once it has left, which it has whatever comes after.

    Raises:
        DetachRefusedError: The tenant's retention, or what was found in the ledger, speaks against it.
        errors.Busy: A lock wasn't to be had; nothing has changed since the month before.
    """
    retention = tenant.manifest.limits.retention_months
    first_kept = kept_from(datetime.now(UTC), retention)
    if before > first_kept:
        fact = (
            f"the tenant keeps {retention} months (limits.retention_months), so only those before {first_kept:%Y-%m} "
            "may go"
        )
        raise DetachRefusedError("retention", fact)
    # What was posted in months that had no partitions yet must be in them.
    found = await tenants.partition(tenant.slug)
    verification = await verify_ledger(database, tenant)
    if not verification.ok:
        finding = verification.findings[0]
        name = f"{finding.record.replace('_', ' ')} {finding.id or ''}".strip()
        raise DetachRefusedError("ledger_damaged", f"{name} is {finding.damage.value}: {finding.fact}")
    until = None if stated is None else await stated()
    months = sorted(date.fromisoformat(f"{each.month}-01") for each in found.months if each.month != "rest")
    done: list[Detached] = []
    for month in months:
        if month < before:
            done.append(await _Leaving(database, tenants, tenant, month, until).go(archive, reason, caller))
            left(done[-1])
    return done


class _Leaving:
    """One month on its way out of the ledger."""

    def __init__(
        self, database: Database, tenants: Tenants, tenant: TenantRef, month: date, stated: UUID | None
    ) -> None:
        self._stated = stated
        self._database = database
        self._tenants = tenants
        self._tenant = tenant
        self._month = month
        self._drops = False
        self._number = self._sequence = self._entries = 0
        self._balances: dict[UUID, int] = {}
        self._changed: set[UUID] = set()
        self._last: JournalEntryRecord | None = None
        self._leaves: set[bytes] = set()

    async def go(self, archive: Path | None, reason: str, caller: Caller) -> Detached:
        """Verify and archive the month, and let it go."""
        path, digest = None, None
        self._drops = archive is not None
        async with self._database.tx(self._tenant, snapshot=True, statement_timeout_ms=STATEMENT_TIMEOUT_MS) as tx:
            is_empty = await self._begin(tx)
            # A file of nothing proves nothing, and nothing would tell it from one that was cut short.
            if archive is None or is_empty:
                async for record in self._records(tx):
                    self._check(record)
            else:
                path = archive / f"{self._tenant.slug}-{self._month:%Y-%m}.jsonl"
                digest = await self._write(tx, path)
                await asyncio.to_thread(self._read_back, path, digest)
        number = await self._seal_patiently(digest, reason, caller)
        return Detached(
            month=f"{self._month:%Y-%m}",
            journal_entries=self._entries,
            checkpoint=number,
            archive=None if path is None else str(path),
        )

    async def _begin(self, tx: TenantTx) -> bool:
        """Take up where the month before has ended, and tell whether nothing was posted in this one."""
        checkpoint = await find_checkpoint(tx)
        if checkpoint is not None:
            self._number, self._sequence = checkpoint.number, checkpoint.sequence
        rows = await tx.fetch("SELECT account_id, posted_minor FROM checkpoint_balances")
        self._balances = {row["account_id"]: row["posted_minor"] for row in rows}
        last = await tx.fetchval(_LAST, *bounds(self._month))
        if last is not None and self._stated is not None and last > self._stated:
            fact = (
                f"of what was booked in {self._month:%Y-%m} not all account statements could be made, since on the "
                "tenant's clock their month isn't over"
            )
            raise DetachRefusedError("statements", fact)
        return last is None

    def _records(self, tx: TenantTx) -> AsyncIterator[Record]:
        first, after = bounds(self._month)
        return read_entries(tx, first, UUID(int=after.int - 1))

    # Verified and archived.

    async def _write(self, tx: TenantTx, path: Path) -> bytes:
        """Write the month's records, so that the file is there whole or not at all, and return their digest."""
        path.parent.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        counts: dict[str, int] = {}
        digest = hashlib.sha256()
        part = path.with_suffix(".part")
        with _alone(part) as stream:
            async for record in self._records(tx):
                line = encode_record(record) + b"\n"
                stream.write(line)
                digest.update(line)
                counts[name_of(record)] = counts.get(name_of(record), 0) + 1
            line = encode_record(EndRecord(counts=counts)) + b"\n"
            stream.write(line)
            digest.update(line)
            stream.flush()
            os.fsync(stream.fileno())
            await asyncio.to_thread(_name, part, path)
        with _opened_folder(path.parent) as folder:
            os.fsync(folder)
        return digest.digest()

    def _read_back(self, path: Path, written: bytes) -> None:
        """Verify what lies in the file: all that was written, and the month as the chain has it."""
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            for line in stream:
                digest.update(line)
                try:
                    record = read_record(line)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    raise DetachRefusedError("archive_damaged", f"{path} doesn't hold what was written") from error
                self._check(record)
        # A file that ends early holds good records, and nothing else tells that there were more.
        if digest.digest() != written:
            raise DetachRefusedError("archive_damaged", f"{path} doesn't hold all that was written")

    def _check(self, record: Record) -> None:
        """Compare an entry with the chain and with the entry before."""
        if isinstance(record, LinkRecord):
            self._leaves = set(record.stored().split())
        elif isinstance(record, JournalEntryRecord):
            if record.sequence != self._sequence + 1:
                raise DetachRefusedError("archive_damaged", f"journal entry {self._sequence + 1} is missing")
            if record.leaf() not in self._leaves:
                raise DetachRefusedError("archive_damaged", f"journal entry {record.sequence} isn't in the chain")
            for posting in record.postings:
                after = self._balances.get(posting.account_id, 0) + posting.amount_minor
                if after != posting.posted_after_minor:
                    fact = f"journal entry {record.sequence} leaves another balance on {posting.account_id}"
                    raise DetachRefusedError("archive_damaged", fact)
                self._balances[posting.account_id] = after
                self._changed.add(posting.account_id)
            self._sequence, self._last, self._entries = record.sequence, record, self._entries + 1

    # Sealed.

    async def _seal_patiently(self, digest: bytes | None, reason: str, caller: Caller) -> int | None:
        """Seal and detach, and try again if a lock isn't to be had: who waits for one makes all others wait."""
        for pause_s in _PAUSES_S:
            with contextlib.suppress(errors.Busy):
                return await self._seal(digest, reason, caller)
            await asyncio.sleep(pause_s)
        return await self._seal(digest, reason, caller)

    async def _seal(self, digest: bytes | None, reason: str, caller: Caller) -> int | None:
        async with self._tenants.as_owner(self._tenant.slug) as tx:
            await self._keep_balances(tx)
            await self._confirm(tx)
            number = None
            if self._last is not None:
                number = self._number + 1
                await self._link(tx, number, self._last, digest)
            facts: dict[str, object] = {
                "month": f"{self._month:%Y-%m}",
                "checkpoint": number,
                "journal_entries": self._entries,
                "archive_digest": None if digest is None else digest.hex(),
            }
            tenant_id = ids.encode(Prefix.TENANT, self._tenant.id)
            await audit.record(tx, audit.new_record(caller, "ledger.detached", tenant_id, reason=reason, facts=facts))
            # Last, because from here on readers wait, too.
            for table in ("postings", "journal_entries"):
                name = partition_name(table, self._month)
                await tx.execute(f"ALTER TABLE {table} DETACH PARTITION {name}")
                if self._drops:
                    await tx.execute(f"DROP TABLE {name}")
            await let_erase(tx, self._tenant.runtime_role)
        return number

    async def _confirm(self, tx: Tx) -> None:
        """Take the ledger, and see that what was verified is the month as it is there, to its last entry.

        Whoever detaches as well may have been here meanwhile, or is when this one goes on.
        """
        await tx.execute("SELECT FROM ledger_head WHERE id = 1 FOR UPDATE")
        there = await tx.fetchval(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_inherits AS i "
            "WHERE i.inhparent = 'postings'::regclass AND i.inhrelid = to_regclass($1))",
            partition_name("postings", self._month),
        )
        number = await tx.fetchval("SELECT coalesce(max(number), 0) FROM ledger_checkpoints")
        last = await tx.fetchval(_LAST, *bounds(self._month))
        if not there or number != self._number or last != (None if self._last is None else self._last.id):
            fact = f"something else has changed {self._month:%Y-%m} meanwhile, such as another detaching"
            raise DetachRefusedError("under_way", fact)

    async def _keep_balances(self, tx: Tx) -> None:
        changed = sorted(self._changed)
        await tx.execute(
            """
            INSERT INTO checkpoint_balances AS b (account_id, posted_minor)
            SELECT n.account_id, n.posted_minor FROM unnest($1::uuid[], $2::bigint[]) AS n (account_id, posted_minor)
            ON CONFLICT (account_id) DO UPDATE SET posted_minor = excluded.posted_minor
            """,
            changed,
            [self._balances[account_id] for account_id in changed],
        )

    async def _link(self, tx: Tx, number: int, last: JournalEntryRecord, digest: bytes | None) -> None:
        """Make the checkpoint the only record of the chain's next link."""
        (row,) = await tx.fetch(
            "SELECT h.link, h.hash, h.skips, h.recorded_at FROM ledger_head AS h WHERE h.id = 1 FOR UPDATE"
        )
        recorded_at = max(datetime.now(UTC), row["recorded_at"] + timedelta(microseconds=1))
        checkpoint = CheckpointRecord(
            number=number,
            month=f"{self._month:%Y-%m}",
            entry_id=last.id,
            sequence=last.sequence,
            effective_high=last.effective_high,
            recorded_at=recorded_at,
            balances_digest=chain.balances_digest(self._balances.items()),
            archive_digest=digest,
        )
        leaf = checkpoint.leaf()
        head, _ = chain.Head(number=row["link"], hash=row["hash"], skips=row["skips"]).extend([leaf], recorded_at)
        await tx.execute(
            "INSERT INTO ledger_links (number, recorded_at, leaves, hash) VALUES ($1, $2, $3, $4)",
            head.number,
            recorded_at,
            leaf,
            head.hash,
        )
        await tx.execute(
            """
            INSERT INTO ledger_checkpoints (
                number, month, entry_id, sequence, effective_high, recorded_at, balances_digest, archive_digest)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            """,
            number,
            checkpoint.month,
            checkpoint.entry_id,
            checkpoint.sequence,
            checkpoint.effective_high,
            recorded_at,
            checkpoint.balances_digest,
            digest,
        )
        # The fence tells every process that what it remembers may no longer hold.
        await tx.execute(
            """
            UPDATE ledger_head SET revision = revision + 1, recorded_at = $1, link = $2, hash = $3, skips = $4,
                fence = $5
            WHERE id = 1
            """,
            recorded_at,
            head.number,
            head.hash,
            head.skips,
            uuid4(),
        )


@contextlib.contextmanager
def _alone(part: Path) -> Iterator[BinaryIO]:
    """Open a file that is begun anew, and keep others who would write it from doing so until it has its name.

    Nothing of it is left where it couldn't be written: nobody may come for this month again.
    """
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT, _PRIVATE)
    with os.fdopen(descriptor, "wb") as stream:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between opening and locking it may have got its name, and is somebody's archive.
            mine = os.path.samestat(os.fstat(descriptor), part.stat())
        except (BlockingIOError, FileNotFoundError):
            mine = False
        if not mine:
            raise DetachRefusedError("under_way", f"{part} is being written by another detaching")
        os.ftruncate(descriptor, 0)
        os.fchmod(descriptor, _PRIVATE)
        try:
            yield stream
        except BaseException:
            # Still locked, so what has this name is this one's, or has its other name by now.
            part.unlink(missing_ok=True)
            raise


def _name(part: Path, path: Path) -> None:
    """Give an archive its name, which may be that of one like it, written by an attempt that was stopped later."""
    if not path.exists():
        part.rename(path)
        return
    same = filecmp.cmp(part, path, shallow=False)
    part.unlink()
    if not same:
        fact = f"there is another {path} already, and an archive is never written over: move it away"
        raise DetachRefusedError("archive_exists", fact)


@contextlib.contextmanager
def _opened_folder(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
