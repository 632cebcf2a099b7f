"""Proves that somebody was forgotten, given a backup of the tenant's data from before, and all keys of today.

The proof is an attempt. Every value in the backup that lies under one of the subject's keys is opened, in the way that
the server opens it, and by every key that the tenant still has; each must fail. A value of somebody else, from the same
backup, is opened too, and must succeed, or the attempt would prove nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from billfold import errors, ids
from billfold.ids import Prefix
from billfold_server.db.connections import hang_up
from billfold_server.keys import rules, upkeep_queries
from billfold_server.keys.backends import TenantKey, Wrapped
from billfold_server.keys.hierarchy import Keys
from billfold_server.keys.rules import Domain, Place, SealBroken, key_id_of
from billfold_server.tenancy.context import TenantRef

__all__ = ["BackupUnreadable", "Control", "Finding", "Report", "SealedColumn", "sealed_columns", "verify_shredded"]

_MOST_KEYS: Final = 10_000
_TIMEOUT_S: Final = 10.0


class BackupUnreadable(Exception):
    """The database into which a backup was restored can't be read; the text says why, and what to correct."""


class SealedColumn(msgspec.Struct, frozen=True):
    """A column whose values are sealed.

    Attributes:
        table: The table.
        column: The column.
        row: SQL for the row's name, which sealed values are bound to: its primary key as text.
    """

    table: str
    column: str
    row: str


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A sealed value of the subject, and what came of trying to open it.

    Attributes:
        outcome: ``forgotten``, or ``unknown key`` where the key store doesn't even know that there was one; ``opened``
            refutes the proof.
        keys_tried: How many other keys of the tenant were tried on it.
    """

    table: str
    column: str
    row: str
    domain: Domain
    key_id: UUID
    outcome: str
    keys_tried: int


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """A value of another subject, which must open."""

    table: str
    column: str
    row: str
    domain: Domain
    key_id: UUID
    opened: bool


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt to read a forgotten subject's data has shown.

    Attributes:
        proven: Whether there were values of the subject, none of them opened, and another subject's did.
        sentence: What that means, for people.
        keys_left: How many usable keys of the subject today's key store has.
        values: The subject's sealed values in the backup.
        controls: Values of others.
        searched: The columns that were searched.
    """

    tenant: str
    party_id: str
    tried_at: datetime
    proven: bool
    sentence: str
    keys_left: int
    values: list[Finding]
    controls: list[Control]
    searched: list[str]


_COLUMNS: Final = """
SELECT c.relname AS table, a.attname AS column, (
    SELECT string_agg(format('%I::text', k.attname), ' || '' '' || ' ORDER BY p.place)
    FROM pg_catalog.pg_index AS i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS p (number, place)
    JOIN pg_catalog.pg_attribute AS k ON k.attrelid = c.oid AND k.attnum = p.number
    WHERE i.indrelid = c.oid AND i.indisprimary
) AS row
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid = 'bytea'::regtype
    AND has_column_privilege(c.oid, a.attnum, 'SELECT')
ORDER BY 1, 2
"""


async def sealed_columns(connection: Any, schema: str) -> list[SealedColumn]:
    """Return every column of a schema that may hold sealed values: those of bytes, in tables with a primary key.

    Whatever the rooms say of their columns, none is passed over that we may read.
    """
    rows = await connection.fetch(_COLUMNS, schema)
    return [SealedColumn(row["table"], row["column"], row["row"]) for row in rows if row["row"] is not None]


async def verify_shredded(keys: Mapping[Domain, Keys], tenant: TenantRef, party_id: UUID, restored_dsn: str) -> Report:
    """Try to open what a restored backup holds of a forgotten subject.

    Args:
        keys: Today's key store and backends, by domain.
        tenant: Whose backup it is.
        party_id: Who was forgotten.
        restored_dsn: The database into which the backup was restored.

    Raises:
        errors.KeysUnavailable: The key store or a backend is away, so nothing can be shown.
        BackupUnreadable: The restored database can't be read.
    """
    store = next(iter(keys.values())).store
    theirs = await store.fetch(upkeep_queries.SUBJECT_KEY_IDS, tenant.id, party_id)
    key_ids = {row["id"]: row for row in theirs}
    attempt = _Attempt(keys, tenant, key_ids)
    try:
        connection = await asyncpg.connect(restored_dsn, timeout=_TIMEOUT_S)
        try:
            columns = await sealed_columns(connection, tenant.schema)
            for column in columns:
                await attempt.search(connection, column)
        finally:
            await hang_up(connection, timeout_s=_TIMEOUT_S)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise BackupUnreadable(_why(error)) from error
    left = sum(not row["forgotten"] for row in theirs)
    return attempt.report(party_id, left, [f"{each.table}.{each.column}" for each in columns])


def _why(error: Exception) -> str:
    """Return why a restored database can't be read. What the URL says besides is a secret."""
    match error:
        case asyncpg.InvalidAuthorizationSpecificationError():
            why = "it refuses the login"
        case asyncpg.InvalidCatalogNameError():
            why = "there is no database of that name"
        case asyncpg.InsufficientPrivilegeError():
            why = "the login may not read all of it"
        case ValueError() | asyncpg.ClientConfigurationError():
            return "The URL of the restored database can't be read: write it like postgresql://user:password@host/name."
        case _:
            why = "it doesn't answer"
    return f"The restored database can't be read, because {why}: correct --restored or BILLFOLD_RESTORED_URL."


class _Attempt:
    """One attempt, over all columns."""

    def __init__(self, keys: Mapping[Domain, Keys], tenant: TenantRef, key_ids: Mapping[UUID, Any]) -> None:
        self._keys = keys
        self._tenant = tenant
        self._key_ids = key_ids
        self._others: dict[Domain, list[AESGCM]] = {}
        self._values: list[Finding] = []
        self._controls: list[Control] = []

    async def search(self, connection: Any, column: SealedColumn) -> None:
        """Try what lies in one column."""
        prefixes = [bytes([1]) + key_id.bytes for key_id in self._key_ids]
        quoted, table = _quoted(column.column), f"{_quoted(self._tenant.schema)}.{_quoted(column.table)}"
        head = f"substring({quoted} FROM 1 FOR 17)"
        chosen = f"SELECT {column.row} AS row, {quoted} AS sealed FROM {table} WHERE"  # noqa: S608 - Names from the catalog.
        for row in await connection.fetch(f"{chosen} {head} = ANY($1::bytea[])", prefixes):
            place = Place(column.table, row["row"], column.column)
            self._values.append(await self._try(place, row["sealed"]))
        others = f"{chosen} NOT {head} = ANY($1::bytea[]) AND substring({quoted} FROM 1 FOR 1) = '\\x01' LIMIT 20"
        for row in await connection.fetch(others, prefixes):
            await self._control(Place(column.table, row["row"], column.column), row["sealed"])

    async def _try(self, place: Place, sealed: bytes) -> Finding:
        key_id = key_id_of(sealed)
        domain: Domain = self._key_ids[key_id]["domain"]
        keys = self._keys[domain]
        outcome = "opened"
        try:
            (await keys.opener(self._tenant, [sealed])).open(place, sealed)
        except errors.SubjectForgotten:
            outcome = "forgotten"
        except SealBroken:
            outcome = "unknown key"
        others = await self._all_keys(domain)
        bound_to = rules.bound_record(self._tenant.id, domain, place, key_id)
        for other in others:
            try:
                rules.open_record(other, bound_to, sealed)
            except SealBroken:
                continue
            outcome = "opened"
        return Finding(
            table=place.table, column=place.column, row=place.row, domain=domain, key_id=key_id,
            outcome=outcome, keys_tried=len(others),
        )  # fmt: skip

    async def _control(self, place: Place, sealed: bytes) -> None:
        """Open a value of somebody else, if it is one, and one of each column is enough."""
        if any((each.table, each.column, each.opened) == (place.table, place.column, True) for each in self._controls):
            return
        try:
            key_id = key_id_of(sealed)
        except SealBroken:
            return
        for domain, keys in self._keys.items():
            try:
                (await keys.opener(self._tenant, [sealed])).open(place, sealed)
            except (SealBroken, errors.SubjectForgotten):
                continue
            self._controls.append(
                Control(
                    table=place.table, column=place.column, row=place.row, domain=domain, key_id=key_id, opened=True
                )
            )
            return

    async def _all_keys(self, domain: Domain) -> Sequence[AESGCM]:
        """Return every key that the tenant has today, as many as can be tried."""
        if domain not in self._others:
            keys, tenant_id = self._keys[domain], self._tenant.id
            epochs: dict[UUID, bytes] = {}
            for row in await keys.store.fetch(upkeep_queries.EPOCHS, tenant_id, domain):
                backend = keys.backends.named(row["backend"])
                wrapped, bound_to = (
                    Wrapped(row["key_version"], row["wrapped"]),
                    rules.bound_epoch(tenant_id, domain, row["id"]),
                )
                epochs[row["id"]] = await backend.unwrap(TenantKey(tenant_id, domain), wrapped, bound_to)
            rows = await keys.store.fetch(upkeep_queries.USABLE_KEYS, tenant_id, domain, _MOST_KEYS)
            self._others[domain] = [
                *map(AESGCM, epochs.values()),
                *(AESGCM(_unwrapped(tenant_id, domain, epochs[row["epoch_id"]], row)) for row in rows),
            ]
        return self._others[domain]

    def report(self, party_id: UUID, keys_left: int, searched: Collection[str]) -> Report:
        """Return what has come of it."""
        opened = sum(each.outcome == "opened" for each in self._values)
        proven = not opened and not keys_left and bool(self._values) and bool(self._controls)
        return Report(
            tenant=self._tenant.slug,
            party_id=ids.encode(Prefix.PARTY, party_id),
            tried_at=datetime.now(UTC),
            proven=proven,
            sentence=_sentence(len(self._values), opened, keys_left, len(self._controls)),
            keys_left=keys_left,
            values=self._values,
            controls=self._controls,
            searched=list(searched),
        )


def _sentence(values: int, opened: int, keys_left: int, controls: int) -> str:
    if keys_left:
        return f"Not shredded: the key store still has {keys_left} usable keys of the subject."
    if opened:
        return f"Not shredded: {opened} of {values} sealed values of the subject could be opened."
    if not values:
        return "Nothing shown: the backup holds no sealed value of the subject."
    if not controls:
        return "Nothing shown: no value of anybody else opened either, so these may not be the keys to this backup."
    return (
        f"Shredded: none of {values} sealed values of the subject opens, by no key that the tenant has; "
        "those of others do."
    )


def _unwrapped(tenant_id: UUID, domain: Domain, epoch_key: bytes, row: Any) -> bytes:
    bound_to = rules.bound_subject_key(tenant_id, domain, row["epoch_id"], row["subject_id"], row["id"])
    return rules.unseal(epoch_key, row["wrapped"], bound_to)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
