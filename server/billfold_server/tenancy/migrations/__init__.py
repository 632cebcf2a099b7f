"""Migrations: one Piccolo app for the platform's schema, one for the schema of each tenant.

A migration is written by hand, as SQL with unqualified names. It runs as the schema's owner, inside a transaction in
which the search path is that schema alone, and what the runtime role may do with each table is granted in the same
file: nothing that isn't listed. One ALTER action per statement, a primary key on every table.
"""

import functools
import importlib
import pkgutil
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.apps.migrations.tables import Migration

from billfold_server.db.engine import ENGINE
from billfold_server.tenancy.rules import create_index, quoted

__all__ = ["App", "SqlMigration", "applied", "is_behind", "lacking", "load", "newer", "newest"]

App = Literal["platform", "tenant"]

# Piccolo would otherwise look for a configuration module of the project's.
Migration._meta.db = ENGINE  # noqa: SLF001


class SqlMigration(MigrationManager):
    """A step of a schema, in SQL.

    Args:
        migration_id: ``tenant_0002_parties``: app, number, room. The order of ids is the order of steps.
        app_name: ``platform`` or ``tenant``.
        description: What the step is for.
        statements: SQL without parameters, run one by one.
        grants: What the runtime role may do, by table: ``{"postings": "SELECT, INSERT"}``. Sequences need ``USAGE`` and
            are named with their kind: ``{"SEQUENCE numbers": "USAGE"}``.
        indexes: Indexes of tables that earlier steps have made, and so may have grown, by name:
            ``{"notes_by_day": "notes (day, id)"}``. Of a table that has, they are built before the step, beside whoever
            writes (``tenancy.indexing``); of another one by the step, after its statements. One that
            is unique begins with ``UNIQUE``.
    """

    def __init__(
        self,
        *,
        migration_id: str,
        app_name: App,
        description: str,
        statements: Sequence[str],
        grants: Mapping[str, str] | None = None,
        indexes: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(migration_id=migration_id, app_name=app_name, description=description)
        self.statements = tuple(statements)
        self.grants = dict(grants or {})
        self.indexes = dict(indexes or {})

    async def apply(self, runtime_role: str) -> None:
        """Run the step in the open transaction, and note in the schema that it was run."""
        connection = ENGINE.open_transaction().connection
        # Each statement is a message of its own, so that an error points into it.
        for statement in self.statements:
            await connection.execute(statement)
        for name, definition in self.indexes.items():
            # Even where it is there, "IF NOT EXISTS" would wait for the table's writers.
            if await connection.fetchval("SELECT to_regclass($1) IS NULL", quoted(name)):
                await connection.execute(create_index(name, definition))
        if self.grants:
            await connection.execute("; ".join(self._granting(runtime_role)))
        await Migration.insert(Migration(name=self.migration_id, app_name=self.app_name))

    def from_nothing(self, runtime_role: str) -> str:
        """Return all of the step as one text, for a schema in which there is nothing but the steps before it."""
        built = [create_index(name, definition) for name, definition in self.indexes.items()]
        noted = f"INSERT INTO migration (name, app_name) VALUES ('{self.migration_id}', '{self.app_name}')"  # noqa: S608 - ours
        return ";\n".join([*self.statements, *built, *self._granting(runtime_role), noted])

    def _granting(self, runtime_role: str) -> list[str]:
        return [f"GRANT {rights} ON {target} TO {quoted(runtime_role)}" for target, rights in self.grants.items()]


@functools.cache
def load(app: App) -> tuple[str, ...]:
    """Return the ids of an app's migrations, in order."""
    package = importlib.import_module(f"{__name__}.{app}")
    return tuple(
        sorted(module.name for module in pkgutil.iter_modules(package.__path__) if module.name.startswith(app))
    )


def newest(app: App) -> str | None:
    """Return the id of an app's last migration, which is the version that its schemas should have."""
    return max(load(app), default=None)


def is_behind(app: App, version: str | None) -> bool:
    """Tell whether a schema of this version lacks a migration; what is newer than this process isn't behind it."""
    last = newest(app)
    return last is not None and (version or "") < last


async def lacking(app: App, done: Collection[str]) -> list[SqlMigration]:
    """Return the migrations, in order, that a schema lacks which has these."""
    return [await _step(app, migration_id) for migration_id in load(app) if migration_id not in done]


async def newer(app: App) -> set[str]:
    """Return the ids of the migrations of the open transaction's schema that this version doesn't know."""
    return await applied(app) - set(load(app))


async def applied(app: App) -> set[str]:
    """Return the ids of the migrations that the schema of the open transaction has."""
    # Piccolo's own way to make this table looks for one across all visible schemas, and so may find another tenant's.
    await Migration.create_table(if_not_exists=True)
    return set(await Migration.get_migrations_which_ran(app_name=app))


async def _step(app: App, migration_id: str) -> SqlMigration:
    module = importlib.import_module(f"{__name__}.{app}.{migration_id}")
    manager = await module.forwards()
    if not isinstance(manager, SqlMigration) or manager.migration_id != migration_id:
        msg = f"{module.__name__} must return a SqlMigration with the file's own name as its id"
        raise TypeError(msg)
    return manager
