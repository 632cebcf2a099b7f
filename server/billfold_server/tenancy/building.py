"""Build a schema as its owner: the schema itself, its migrations, and the months of a ledger.

Each step commits by itself, and waits only briefly for a lock, so that nobody waits long behind it.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Final

import asyncpg

from billfold_server.db.engine import ENGINE
from billfold_server.tenancy import indexing, migrations, partitions
from billfold_server.tenancy.roles import AdminConnection, is_member
from billfold_server.tenancy.rules import Deployment, TenantNames, quoted
from billfold_server.tenancy.transaction import Tx, opening

__all__ = ["AT_ONCE", "LOCK_TIMEOUT_MS", "Progress", "add_partitions", "add_schema", "migrate", "owner_tx"]

Progress = Callable[[str], None]
"""Is told of each step as it is done."""

LOCK_TIMEOUT_MS: Final = 2_000
AT_ONCE: Final = 10
"""So few that the locks of what they make fit into PostgreSQL's table beside those of others who do the same."""
_PAUSES_S: Final = (0.25, 0.5, 1.0, 2.0)
_STATEMENT_TIMEOUT_MS: Final = 600_000


async def add_schema(connection: AdminConnection, deployment: Deployment, names: TenantNames) -> None:
    """Make a tenant's schema, which belongs to its owner role and which its runtime role may enter."""
    creator, owner = quoted(deployment.creator_role), quoted(names.owner_role)
    if await connection.fetchval("SELECT to_regnamespace($1) IS NOT NULL", names.schema):
        if await is_member(connection, names.owner_role, deployment.creator_role):
            # Whoever made the schema was killed before it took the right to make schemas away again.
            await connection.execute(f"REVOKE {creator} FROM {owner}")
        return
    await connection.execute(f"GRANT {creator} TO {owner} WITH INHERIT TRUE, SET FALSE")
    async with connection.transaction():
        await connection.execute(
            f"SET LOCAL ROLE {owner}; CREATE SCHEMA {quoted(names.schema)}; "
            f"GRANT USAGE ON SCHEMA {quoted(names.schema)} TO {quoted(names.runtime_role)}"
        )
    await connection.execute(f"REVOKE {creator} FROM {owner}")


async def migrate(
    connection: AdminConnection,
    app: migrations.App,
    owner: str,
    runtime: str,
    schema: str,
    *,
    progress: Progress | None = None,
) -> str | None:
    """Run the migrations that a schema lacks, each in a transaction of its own, and return its version then.

    That is a newer one than this process's where a newer process has been here, which may be serving at this moment.
    A schema that has none yet gets several in each transaction: nobody can wait for them, and each has some nine round
    trips and a commit of its own otherwise.
    """
    async with owner_tx(connection, owner, schema):
        applied = await migrations.applied(app)
        steps = await migrations.lacking(app, applied)
        version = max([*applied, *(step.migration_id for step in steps)], default=None)
    while steps and not applied:
        some, steps = steps[:AT_ONCE], steps[AT_ONCE:]
        async with owner_tx(connection, owner, schema) as tx:
            await tx.connection.execute(";\n".join(step.from_nothing(runtime) for step in some))
        for step in some:
            if progress is not None:
                progress(step.migration_id)
    for step in steps:
        await indexing.build(connection, owner, schema, step.indexes)
        await _patiently(connection, owner, schema, functools.partial(_apply, step=step, runtime=runtime))
        if progress is not None:
            progress(step.migration_id)
    return version


async def _apply(_: Tx, *, step: migrations.SqlMigration, runtime: str) -> None:
    await step.apply(runtime)


async def add_partitions(
    connection: AdminConnection, names: TenantNames, *, ahead: int = partitions.AHEAD
) -> list[date]:
    """Make the months of a ledger that are missing: the present one, some ahead, and those that were never made.

    What is empty is made at once. What has rows in the default partition is moved a month at a time, each in a
    transaction of its own.
    """
    present = partitions.month_of(datetime.now(UTC))
    wanted = partitions.months_from(present, ahead)
    async with owner_tx(connection, names.owner_role, names.schema) as tx:
        moved = await partitions.default_months(tx, until=wanted[-1])
        lacking = await partitions.missing(tx, sorted({*wanted, *moved}))
        # Versions before this one have detached months without.
        await partitions.let_erase(tx, names.runtime_role)
    empty = [month for month in lacking if month not in moved]
    for some in ([empty] if empty else []) + [[month] for month in lacking if month in moved]:
        await _patiently(connection, names.owner_role, names.schema, functools.partial(_make, months=some, moved=moved))
    return lacking


async def _make(tx: Tx, *, months: Sequence[date], moved: Sequence[date]) -> None:
    await partitions.make(tx, months, moved=[month for month in months if month in moved])


@asynccontextmanager
async def owner_tx(connection: AdminConnection, owner: str, schema: str) -> AsyncIterator[Tx]:
    """Run a transaction as a schema's owner, in that schema alone; Piccolo's queries join it."""
    ENGINE.refuse_nesting()
    tx = Tx(connection)
    try:
        await connection.execute(opening(owner, schema, LOCK_TIMEOUT_MS, _STATEMENT_TIMEOUT_MS, snapshot=False))
        ENGINE.enter(tx)
        yield tx
        tx.open = False
        await connection.execute("SHOW transaction_read_only; COMMIT")
    except BaseException:
        if not connection.is_closed():
            await connection.execute("ROLLBACK")
        raise
    finally:
        tx.open = False
        ENGINE.leave()


async def _patiently(
    connection: AdminConnection, owner: str, schema: str, work: Callable[[Tx], Awaitable[None]]
) -> None:
    """Change a schema, and try again if a lock isn't to be had.

    While a change waits for a lock, everybody else waits behind it. So it waits briefly, lets them pass, and comes
    back.
    """
    for pause_s in _PAUSES_S:
        try:
            async with owner_tx(connection, owner, schema) as tx:
                await work(tx)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            await asyncio.sleep(pause_s)
        else:
            return
    async with owner_tx(connection, owner, schema) as tx:
        await work(tx)
