"""Backs the key store up, and brings it back: wrapped keys in one file, of which only the newest is kept.

The file opens nothing without the tenants' keys, which lie in Vault, or follow from the keyring. It is a copy of the
whole store at one moment, its lines authenticated by the keyring, so that nobody can take subjects out of it or put
wraps into it. A new backup takes the place of the former one, because an old one still holds the keys of those who
were forgotten since. For the same reason bringing one back forgets them again, in the same transaction: the tenants'
audit tells who they are, and so does the store that is replaced.
"""

import hmac
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final, TypeAlias
from uuid import UUID

import asyncpg
import msgspec

from billfold_server.keys.keyring import Keyring
from billfold_server.keys.store import KeyStore, forget, tell
from billfold_server.private_files import replacing

__all__ = ["Backup", "BackupUnusable", "Restored", "back_up", "bring_back", "read_backup"]

_FORMAT: Final = 1
_PURPOSE: Final = "key store backups"
_AT_ONCE: Final = 2_000
_ASKED_AT_ONCE: Final = 1_000
_TENANTS: Final = "SELECT tenant_id FROM key_epochs UNION SELECT tenant_id FROM forgotten_subjects"
_FORGOTTEN: Final = "SELECT tenant_id, subject_id, forgotten_at, reason, keys FROM forgotten_subjects"


class BackupUnusable(Exception):
    """The file can't be used, or not for this; the text is one sentence that says why."""


class Head(msgspec.Struct, frozen=True, kw_only=True, tag="head"):
    """The first line: what it is, and of when."""

    format: int
    taken_at: datetime


class Epoch(msgspec.Struct, frozen=True, array_like=True, tag="key_epochs"):
    """A row of ``key_epochs``."""

    tenant_id: UUID
    id: UUID
    domain: str
    number: int
    backend: str
    key_version: int
    wrapped: bytes
    created_at: datetime
    lost_at: datetime | None


class SubjectKey(msgspec.Struct, frozen=True, array_like=True, tag="subject_keys"):
    """A row of ``subject_keys``."""

    tenant_id: UUID
    id: UUID
    domain: str
    subject_id: UUID
    generation: int
    current: bool
    epoch_id: UUID | None
    wrapped: bytes | None
    seals_reserved: int
    created_at: datetime
    forgotten_at: datetime | None


class PurposeKey(msgspec.Struct, frozen=True, array_like=True, tag="purpose_keys"):
    """A row of ``purpose_keys``."""

    tenant_id: UUID
    id: UUID
    domain: str
    purpose: str
    version: int
    epoch_id: UUID
    wrapped: bytes
    created_at: datetime


class Forgotten(msgspec.Struct, frozen=True, array_like=True, tag="forgotten_subjects"):
    """A row of ``forgotten_subjects``."""

    tenant_id: UUID
    subject_id: UUID
    forgotten_at: datetime
    reason: str
    keys: int


class LocalKey(msgspec.Struct, frozen=True, array_like=True, tag="local_tenant_keys"):
    """A row of ``local_tenant_keys``."""

    tenant_id: UUID
    domain: str
    version: int
    salt: bytes
    created_at: datetime


class Tail(msgspec.Struct, frozen=True, kw_only=True, tag="tail"):
    """The last line: what authenticates those before it."""

    rows: int
    mac: bytes


Destroyed: TypeAlias = Callable[[Collection[UUID]], Awaitable[Collection[UUID]]]
"""What says of which of some tenants all keys were destroyed."""

Row: TypeAlias = Epoch | SubjectKey | PurposeKey | Forgotten | LocalKey
_TABLES: Final[Mapping[str, type[Any]]] = {
    # In the order in which they can be filled: epochs before what refers to them.
    "local_tenant_keys": LocalKey,
    "key_epochs": Epoch,
    "subject_keys": SubjectKey,
    "purpose_keys": PurposeKey,
    "forgotten_subjects": Forgotten,
}
_ROWS: Final = msgspec.json.Decoder(Row)
_ENDS: Final = msgspec.json.Decoder(Head | Tail)


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that is whole and ours.

    Attributes:
        file: Where it lies.
        taken_at: Of which moment it is.
        rows: How many rows it has.
    """

    file: str
    taken_at: datetime
    rows: int


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What was brought back.

    Attributes:
        taken_at: Of which moment the key store is now.
        rows: How many rows it has.
        forgotten_again: How many subjects were forgotten again, who had been since.
        destroyed_again: Of how many tenants all keys were destroyed again, which had been since.
    """

    taken_at: datetime
    rows: int
    forgotten_again: int
    destroyed_again: int


async def back_up(store: KeyStore, keyring: Keyring, path: Path) -> Backup:
    """Write the whole key store to a file, in the place of the backup that lies there.

    The new one is written beside it, and takes its name once it is on the disk: there is always one, and never two.

    Raises:
        BackupUnusable: What lies there is no backup of a key store.
        errors.KeysUnavailable: The key store is away. The former backup is still there.
        OSError: The file can't be written.
    """
    _see_former(path)
    with replacing(path) as file:
        made = await _write(store, keyring, file, path)
    _sync_folder(path.parent)
    return made


def _see_former(path: Path) -> None:
    """See that what the new backup replaces is one, if anything is there."""
    if path.exists():
        with path.open("rb") as file:
            _head_of(file)


async def _write(store: KeyStore, keyring: Keyring, file: IO[bytes], path: Path) -> Backup:
    mac = hmac.new(keyring.derive(_PURPOSE), digestmod="sha256")
    taken_at, number = datetime.now(UTC), 0

    def put(line: msgspec.Struct) -> None:
        text = msgspec.json.encode(line) + b"\n"
        mac.update(text)
        file.write(text)

    put(Head(format=_FORMAT, taken_at=taken_at))
    async with store.long() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        for table, kind in _TABLES.items():
            columns = ", ".join(kind.__struct_fields__)
            # Names of constants alone.
            async for record in connection.cursor(f"SELECT {columns} FROM {table}", prefetch=_AT_ONCE):  # noqa: S608
                put(kind(*record))
                number += 1
    file.write(msgspec.json.encode(Tail(rows=number, mac=mac.digest())) + b"\n")
    return Backup(file=str(path), taken_at=taken_at, rows=number)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _head_of(file: IO[bytes]) -> tuple[Head, bytes]:
    line = file.readline(1_000)
    try:
        head = _ENDS.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        head = None
    if not isinstance(head, Head):
        raise BackupUnusable("The file is no backup of a key store: name another one.")
    if head.format != _FORMAT:
        raise BackupUnusable("The backup was made by another version of Billfold: use that one.")
    return head, line


def read_backup(keyring: Keyring, path: Path) -> Backup:
    """See that a backup is whole and was made under this keyring, and return what it is.

    Raises:
        BackupUnusable: It isn't.
        OSError: The file can't be read.
    """
    mac, number = hmac.new(keyring.derive(_PURPOSE), digestmod="sha256"), 0
    with path.open("rb") as file:
        head, line = _head_of(file)
        mac.update(line)
        before = b""
        for line in file:
            if before:
                mac.update(before)
                number += 1
            before = line
    try:
        tail = _ENDS.decode(before)
    except (msgspec.DecodeError, UnicodeDecodeError):
        tail = None
    if not isinstance(tail, Tail) or tail.rows != number or not hmac.compare_digest(tail.mac, mac.digest()):
        raise BackupUnusable("The backup isn't whole, was changed, or belongs to another keyring: use another one.")
    return Backup(file=str(path), taken_at=head.taken_at, rows=number)


def _rows_of(path: Path, rows: int) -> Iterator[Row]:
    with path.open("rb") as file:
        file.readline()
        for _ in range(rows):
            yield _ROWS.decode(file.readline())


async def bring_back(
    store: KeyStore,
    keyring: Keyring,
    path: Path,
    *,
    forgotten: AsyncIterator[tuple[UUID, Collection[UUID], str]],
    destroyed: Destroyed,
    replace: bool = False,
) -> Restored:
    """Put a backup in the place of what the key store holds, all of it or nothing.

    Args:
        store: The key store.
        keyring: Under which the backup was made.
        path: The backup.
        forgotten: Who was forgotten, as tenants' own records say: the tenant, its subjects, and why. Whom the store
            itself knows to be forgotten need not be among them.
        destroyed: Says of which of some tenants all keys were destroyed; asked of a thousand at once. All that there
            ever were may be many more than the key store has heard of.
        replace: Whether what the key store holds may go. Keys that were made since the backup are lost then, with all
            that lies under them.

    Raises:
        BackupUnusable: It isn't whole or not ours, or the key store isn't empty.
        errors.KeysUnavailable: The key store is away.
    """
    backup = read_backup(keyring, path)
    # All is read before anything changes, so that nobody can be read for a moment, or after a crash.
    told = [each async for each in forgotten]
    doomed = await _doomed(destroyed, await _tenants(store, path, backup.rows) | {each[0] for each in told})
    async with store.long() as connection, connection.transaction():
        if not replace and await connection.fetchval("SELECT EXISTS (SELECT FROM key_epochs)"):
            raise BackupUnusable("The key store isn't empty: say --replace where what it holds may go.")
        # Whoever forgets somebody at this moment does it before, and we know it, or after.
        await connection.execute("LOCK TABLE subject_keys, forgotten_subjects IN EXCLUSIVE MODE")
        own = [Forgotten(*row) for row in await connection.fetch(_FORGOTTEN)]
        tenants = await _clear(connection)
        number = await _fill(connection, (row for row in _rows_of(path, backup.rows) if row.tenant_id not in doomed))
        rows = await connection.fetch("SELECT DISTINCT tenant_id FROM key_epochs")
        tenants |= {row["tenant_id"] for row in rows}
        again = await _forget_again(connection, own, told, doomed)
        for tenant_id in sorted(tenants | {each.tenant_id for each in own} | {each[0] for each in told}):
            await tell(connection, tenant_id, [None])
    return Restored(taken_at=backup.taken_at, rows=number, forgotten_again=again, destroyed_again=len(doomed))


async def _tenants(store: KeyStore, path: Path, rows: int) -> set[UUID]:
    """Return whose the backup is, and what the key store holds now."""
    return {row.tenant_id for row in _rows_of(path, rows)} | {row["tenant_id"] for row in await store.fetch(_TENANTS)}


async def _doomed(destroyed: Destroyed, tenants: Collection[UUID]) -> set[UUID]:
    """Return the tenants of which all keys were destroyed."""
    waiting, doomed = iter(tenants), set[UUID]()
    while some := list(islice(waiting, _ASKED_AT_ONCE)):
        doomed |= set(await destroyed(some))
    return doomed


async def _clear(connection: "asyncpg.Connection[asyncpg.Record]") -> set[UUID]:
    """Delete everything, and return whose it was."""
    rows = await connection.fetch("SELECT DISTINCT tenant_id FROM key_epochs")
    for table in reversed(list(_TABLES)):
        await connection.execute(f"DELETE FROM {table}")  # noqa: S608 - A constant.
    return {row["tenant_id"] for row in rows}


async def _fill(connection: "asyncpg.Connection[asyncpg.Record]", rows: Iterator[Row]) -> int:
    """Write rows, which come table by table, and return how many."""
    waiting: list[Row] = []
    number = 0

    async def write() -> None:
        if not waiting:
            return
        kind = type(waiting[0])
        table = next(name for name, each in _TABLES.items() if each is kind)
        records = [msgspec.structs.astuple(each) for each in waiting]
        await connection.copy_records_to_table(table, records=records, columns=kind.__struct_fields__)
        waiting.clear()

    for row in rows:
        if waiting and (len(waiting) >= _AT_ONCE or type(row) is not type(waiting[0])):
            await write()
        waiting.append(row)
        number += 1
    await write()
    return number


async def _forget_again(
    connection: "asyncpg.Connection[asyncpg.Record]",
    own: Sequence[Forgotten],
    told: Sequence[tuple[UUID, Collection[UUID], str]],
    destroyed: Collection[UUID],
) -> int:
    """Forget whom the backup doesn't know to be forgotten, and return how many these are."""
    known = {(row[0], row[1]) for row in await connection.fetch(_FORGOTTEN)}
    again: dict[tuple[UUID, str], set[UUID]] = {}
    missing = [each for each in own if each.tenant_id not in destroyed]
    missing = [each for each in missing if (each.tenant_id, each.subject_id) not in known]
    for each in missing:
        again.setdefault((each.tenant_id, each.reason), set()).add(each.subject_id)
        known.add((each.tenant_id, each.subject_id))
    # Their rows say when it was.
    records = [msgspec.structs.astuple(each) for each in missing]
    columns = Forgotten.__struct_fields__
    await connection.copy_records_to_table("forgotten_subjects", records=records, columns=columns)
    for tenant_id, subjects, reason in told:
        new = {each for each in subjects if (tenant_id, each) not in known}
        if new and tenant_id not in destroyed:
            again.setdefault((tenant_id, reason), set()).update(new)
            known |= {(tenant_id, each) for each in new}
    for (tenant_id, reason), subjects in again.items():
        await forget(connection, tenant_id, sorted(subjects), reason)
    return sum(map(len, again.values()))
