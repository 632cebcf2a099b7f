"""The server's database: found, looked at, and made ready, the same for ``billfold up`` and for every other command.

Without a URL it is the embedded PostgreSQL of the data folder, which is joined where it runs and else started for as
long as it is needed. With a URL it may be the server's own login, which then sets nothing up, or an administrator's,
from which the server's own login follows.
"""

import asyncio
import dataclasses
import importlib
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import anyio
import asyncpg
import msgspec

from billfold_server.db.connections import hang_up
from billfold_server.db.embedded import EmbeddedPostgres
from billfold_server.db.pools import CONNECTION_LOST, CONNECTIONS
from billfold_server.db.unwritten import CANNOT_WRITE
from billfold_server.serving.failures import Exit, Failure
from billfold_server.serving.unreachable import unreachable
from billfold_server.settings import Secret, Settings

__all__ = [
    "Facts",
    "Found",
    "Step",
    "embedded_for",
    "find_database",
    "finished",
    "follow_embedded",
    "keys_beside",
    "look",
    "needed_connections",
    "reached",
    "unfit",
    "why_unwritten",
]

_log = logging.getLogger("billfold.server")

T = TypeVar("T")
Step = Callable[[str], None]
"""Tells whoever waits what is being done."""

OLDEST_MAJOR = 16
_OWN_CONNECTIONS = 5
"""What the parent and commands need beside the workers: preparing, migrating, doctor."""
_EMBEDDED_CONNECTIONS, _EMBEDDED_ALTOGETHER = 120, 240
"""How many a worker may hold of an embedded database where nobody says, for it has hardly anyone else to serve, and all
of them together, unless that leaves one with fewer than of another database."""
_SPARE_CONNECTIONS = 50
"""What an embedded database accepts beyond that: PostgreSQL keeps some to itself, and other programs may join."""
_PATIENCE_S = 20.0
"""How long a connection, and each question, may take. Who starts a server can wait for longer than a request."""
_CLOSE_S = 5.0

_FACTS = """
SELECT current_setting('server_version_num')::int / 10000 AS major, current_setting('server_version') AS version,
    current_setting('max_connections')::int AS max_connections,
    CASE WHEN r.rolsuper THEN 0 ELSE current_setting('superuser_reserved_connections')::int
        + coalesce(current_setting('reserved_connections', true)::int, 0) END AS reserved,
    r.rolconnlimit AS role_limit, r.rolname AS role, current_database() AS database,
    r.rolsuper OR r.rolcreaterole AS creates_roles,
    has_database_privilege(current_database(), 'CREATE WITH GRANT OPTION') AS owns_database,
    current_setting('fsync') = 'on' AS fsync, current_setting('full_page_writes') = 'on' AS full_page_writes,
    current_setting('synchronous_commit') <> 'off' AS synchronous_commit,
    pg_size_bytes(current_setting('shared_buffers')) AS buffers_bytes,
    pg_size_bytes(current_setting('max_wal_size')) AS most_wal_bytes,
    current_setting('log_statement') AS log_statement,
    current_setting('log_min_duration_statement') AS log_min_duration_statement,
    current_setting('log_min_error_statement') AS log_min_error_statement,
    current_setting('log_error_verbosity') AS log_error_verbosity,
    current_setting('server_encoding') AS encoding, pg_is_in_recovery() AS standby, clock_timestamp() AS now
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
"""


_WRITING: Final = "CREATE TEMP TABLE billfold_doctor AS SELECT n FROM generate_series(1, 200000) AS n"
"""Some seven megabytes, in none of the shared pages."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a database says of itself to a role.

    Attributes:
        major: Its major version.
        version: Its version in full.
        max_connections: How many connections it accepts from everybody.
        reserved: How many of them this role can't have.
        role_limit: How many this role may have; negative is no limit.
        role: Who we are there.
        database: The database's name.
        creates_roles: Whether the role may create roles.
        owns_database: Whether it may create schemas and let others do so.
        fsync: Whether a commit reaches the disk.
        full_page_writes: Whether torn pages are mended after a crash.
        synchronous_commit: Whether a commit waits for the disk.
        buffers_bytes: How much memory it has for pages.
        most_wal_bytes: How long its write-ahead log may get between two checkpoints.
        log_statement: Which statements it logs when they begin.
        log_min_duration_statement: From which duration on it logs statements.
        log_min_error_statement: From which severity of an error on it logs the statement.
        log_error_verbosity: Whether rows and parameters stand beside an error in its log.
        encoding: Of its text.
        standby: Whether it is a copy that can only be read.
        now: What its clock says.
        asked_at: What ours said then.
    """

    major: int
    version: str
    max_connections: int
    reserved: int
    role_limit: int
    role: str
    database: str
    creates_roles: bool
    owns_database: bool
    fsync: bool
    full_page_writes: bool
    synchronous_commit: bool
    buffers_bytes: int
    most_wal_bytes: int
    log_statement: str
    log_min_duration_statement: str
    log_min_error_statement: str
    log_error_verbosity: str
    encoding: str
    standby: bool
    now: datetime
    asked_at: datetime

    @property
    def usable_connections(self) -> int:
        """Return how many connections this role can have at most."""
        rest = self.max_connections - self.reserved
        return rest if self.role_limit < 0 else min(rest, self.role_limit)

    @property
    def skew_s(self) -> float:
        """Return by how many seconds the database's clock is ahead of ours."""
        return (self.now - self.asked_at).total_seconds()


@dataclass(frozen=True, slots=True)
class Found:
    """A database that is ready to be used.

    Attributes:
        settings: The settings with its URLs in them.
        facts: What it says of itself.
        embedded: The embedded PostgreSQL, where it is that.
    """

    settings: Settings
    facts: Facts
    embedded: EmbeddedPostgres | None


@asynccontextmanager
async def reached(
    url: Secret, variable: str = "BILLFOLD_DATABASE_URL"
) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Have a connection to a database until the block ends.

    Args:
        url: Where it is.
        variable: By which setting it was named.

    Raises:
        Failure: It can't be reached, doesn't let us in, or stops answering; the sentence says why.
    """
    try:
        connection = await asyncpg.connect(url.reveal(), timeout=_PATIENCE_S, command_timeout=_PATIENCE_S)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise unreachable(url.reveal(), variable, error) from error
    try:
        yield connection
    except CONNECTION_LOST as error:
        raise unreachable(url.reveal(), variable, error) from error
    except asyncpg.InterfaceError as error:
        if not connection.is_closed():
            raise
        # In a transaction, the driver complains of how that ends instead.
        raise unreachable(url.reveal(), variable, ConnectionError("the connection was lost")) from error
    finally:
        await hang_up(connection, timeout_s=_CLOSE_S)


async def look(url: Secret, variable: str = "BILLFOLD_DATABASE_URL") -> Facts:
    """Ask a database about itself.

    Args:
        url: Where it is.
        variable: By which setting it was named.

    Raises:
        Failure: It can't be reached, or doesn't let us in; the sentence says why.
    """
    async with reached(url, variable) as connection:
        asked = datetime.now(UTC)
        row = await connection.fetchrow(_FACTS)
        first, last = sorted((asked, datetime.now(UTC)))
    assert row is not None, "everybody has a role"
    # It was asked at some moment in between. Whichever of us stood still meanwhile, that doesn't set a clock wrong.
    return Facts(**row, asked_at=min(max(row["now"], first), last))


async def why_unwritten(url: Secret) -> str | None:
    """Return why PostgreSQL can't write some megabytes, in its own words, or None where it can.

    What is written is gone with the transaction, and stands in nobody's way. Who may make no table for it doesn't learn
    it. A full disk of PostgreSQL's log shows in another way: PostgreSQL ends.
    """
    async with reached(url) as connection:
        try:
            await connection.execute(f"BEGIN; {_WRITING}; ROLLBACK")
        except asyncpg.InsufficientPrivilegeError:
            return None
        except CANNOT_WRITE as error:
            return str(error).partition("\n")[0]
    return None


def needed_connections(settings: Settings) -> int:
    """Return how many connections a server with these settings may want at once."""
    return settings.workers * (settings.database_connections or CONNECTIONS) + _OWN_CONNECTIONS


def embedded_for(settings: Settings) -> tuple[Settings, EmbeddedPostgres]:
    """Return the embedded database, not started yet, and the settings with their number of connections to it."""
    fair = min(_EMBEDDED_CONNECTIONS, _EMBEDDED_ALTOGETHER // settings.workers)
    connections = settings.database_connections or max(CONNECTIONS, fair)
    settings = msgspec.structs.replace(settings, database_connections=connections)
    most = needed_connections(settings) + _SPARE_CONNECTIONS
    return settings, EmbeddedPostgres(Path(settings.data_dir), max_connections=max(100, most))


def unfit(facts: Facts, settings: Settings) -> Failure | None:
    """Return why a database can't carry a server with these settings, or None."""
    if facts.major < OLDEST_MAJOR:
        return Failure(
            "database_too_old",
            f"PostgreSQL {facts.version} is too old for Billfold: upgrade it to {OLDEST_MAJOR} or later.",
            Exit.SETTINGS,
            version=facts.version,
        )
    if facts.standby:
        return Failure(
            "database_read_only",
            "The database is a standby that can only be read: point BILLFOLD_DATABASE_URL to the primary.",
            Exit.SETTINGS,
        )
    if facts.encoding != "UTF8":
        return Failure(
            "database_encoding",
            f"The database {facts.database} keeps text as {facts.encoding}: create one with ENCODING 'UTF8'.",
            Exit.SETTINGS,
            encoding=facts.encoding,
        )
    needed, usable = needed_connections(settings), facts.usable_connections
    if needed > usable:
        return Failure(
            "too_few_connections",
            f"{settings.workers} workers with {settings.database_connections or CONNECTIONS} connections each need "
            f"{needed}, and "
            f"{facts.role} can have {usable} of the database's {facts.max_connections}: choose fewer --workers, "
            "lower BILLFOLD_DATABASE_CONNECTIONS, or raise the database's max_connections.",
            Exit.SETTINGS,
            needed=needed,
            usable=usable,
        )
    return None


@asynccontextmanager
async def find_database(
    settings: Settings, *, step: Step = lambda _: None, adopt_keyring: bool = False
) -> AsyncIterator[Found]:
    """Have the database until the block ends, ready as far as the given URLs allow.

    Args:
        settings: Where it is.
        step: Is told what is being done.
        adopt_keyring: Let the passwords of all logins follow from this keyring, though they follow from another.

    Raises:
        KeyringDiffers: The logins' passwords follow from another keyring.
        Failure: It can't be had, or can't carry a server with these settings.
        EmbeddedPostgresError: The embedded one can't be had.
        KeyringUnusable: The logins' passwords can't be derived.
    """
    if settings.database_url is not None:
        found = await _of_url(settings, settings.database_url, step, adopt_keyring=adopt_keyring)
        yield await _with_key_store(found, step, adopt_keyring=adopt_keyring)
        return
    settings, embedded = embedded_for(settings)
    step("Starting PostgreSQL")
    loading = asyncio.create_task(_load())
    admin_url = Secret(await finished(embedded.start, undo=embedded.stop))
    stopping = threading.Event()
    watch = threading.Thread(target=embedded.watch, args=[stopping], name="watch-postgres", daemon=True)
    watch.start()

    def stop() -> None:
        stopping.set()
        watch.join()
        embedded.stop()

    try:
        await loading
        found = await _of_administrator(settings, admin_url, None, embedded, step, adopt_keyring=adopt_keyring)
        yield await _with_key_store(found, step, adopt_keyring=adopt_keyring)
    finally:
        await finished(stop)


def follow_embedded(settings: Settings, admin_url: Secret) -> Settings:
    """Return settings whose URLs lead to the embedded database, which may be on another port after it was started anew.

    Args:
        settings: The settings so far.
        admin_url: Where the database is now.
    """
    port = urlsplit(admin_url.reveal()).port
    assert settings.database_url is not None, "it has been found"
    changed = {"admin_database_url": admin_url, "database_url": _at_port(settings.database_url, port)}
    if settings.key_store_url is not None and _address(settings.key_store_url) == _address(settings.database_url):
        changed["key_store_url"] = _at_port(settings.key_store_url, port)
    return msgspec.structs.replace(settings, **changed)


def _address(url: Secret) -> str:
    """Return host and port of a URL."""
    return urlsplit(url.reveal()).netloc.rpartition("@")[2]


def _at_port(url: Secret, port: int | None) -> Secret:
    parts = urlsplit(url.reveal())
    return Secret(urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}")))


async def _load() -> None:
    """Import the application, which takes longest of all, beside the start of PostgreSQL."""
    await asyncio.to_thread(importlib.import_module, "billfold_server.app")


async def _of_url(settings: Settings, url: Secret, step: Step, *, adopt_keyring: bool) -> Found:
    step("Looking for the database")
    await _load()
    facts = await look(url)
    # Nobody serves with an administrator's rights: where that is the URL, the server's own login follows from it.
    own_url = None if facts.creates_roles else url
    admin_url = settings.admin_database_url or (url if facts.creates_roles else None)
    if admin_url is not None:
        # A URL with a password that followed from the former keyring leads nowhere once another one was adopted.
        own_url = None if adopt_keyring else own_url
        return await _of_administrator(settings, admin_url, own_url, None, step, adopt_keyring=adopt_keyring)
    if adopt_keyring:
        sentence = f"{facts.role} may not set passwords: give the administrator's URL in BILLFOLD_ADMIN_DATABASE_URL."
        raise Failure("administrator_needed", sentence, Exit.NOT_ALLOWED, role=facts.role)
    _insist(facts, settings)
    if not settings.keyring_path.exists():
        from billfold_server.tenancy.provisioning import refuse_new_keyring  # noqa: PLC0415 - Loaded by now.

        await refuse_new_keyring(url.reveal())
    return Found(settings, facts, None)


async def _of_administrator(
    settings: Settings,
    admin_url: Secret,
    url: Secret | None,
    embedded: EmbeddedPostgres | None,
    step: Step,
    *,
    adopt_keyring: bool,
) -> Found:
    """Set the database up, or find that it is; without a URL of its own, the server's login follows from that."""
    from billfold_server.app import database_secret  # noqa: PLC0415 - Loaded beside, see _load.
    from billfold_server.keys.service import open_keyring  # noqa: PLC0415
    from billfold_server.tenancy.provisioning import Administrator, refuse_new_keyring  # noqa: PLC0415

    _insist(await look(admin_url), settings, connections=False)
    step("Preparing the database")
    if not (adopt_keyring or settings.keyring_path.exists()):
        # A keyring that is made where the right one was lost would lie in its place, and open nothing.
        await refuse_new_keyring(admin_url.reveal())
    secret = database_secret(open_keyring(settings))
    ready = await Administrator(admin_url.reveal(), deployment_secret=secret).bootstrap(adopt=adopt_keyring)
    url = url or Secret(ready.runtime_dsn)
    facts = await look(url)
    _insist(facts, settings)
    return Found(msgspec.structs.replace(settings, database_url=url, admin_database_url=admin_url), facts, embedded)


async def _with_key_store(found: Found, step: Step, *, adopt_keyring: bool) -> Found:
    """Have the key store ready as well, and name it in the settings.

    Raises:
        KeyStoreUnsuitable: It isn't set up, and we may not do so; or with another keyring; or, in production, it is the
            tenants' own database.
        Failure: It can't be reached, or nobody has said where it is.
    """
    from billfold_server.keys import service as keys  # noqa: PLC0415 - Loaded beside, see _load.

    step("Preparing the key store")
    settings = found.settings
    url, admin_url = settings.key_store_url, settings.key_store_admin_url
    if url is not None and admin_url is None and (await look(url, "BILLFOLD_KEY_STORE_URL")).creates_roles:
        url, admin_url = None, url
    if url is None and admin_url is None:
        admin_url = await _beside(settings)
    if admin_url is not None:
        await look(admin_url, "BILLFOLD_KEY_STORE_ADMIN_URL")
        # Asked first, so that nothing of a store that is refused is left in the tenants' database.
        await _insist_on_two(settings, admin_url)
        made = await keys.prepare_store(admin_url.reveal(), keys.open_keyring(settings), adopt=adopt_keyring)
        url = url or Secret(made)
    assert url is not None, "one of the two was given or made"
    await keys.check_store(url.reveal())
    await _insist_on_two(settings, url)
    return dataclasses.replace(found, settings=msgspec.structs.replace(settings, key_store_url=url))


async def _insist_on_two(settings: Settings, key_store_url: Secret) -> None:
    """See that the key store is another database than the tenants', in production."""
    from billfold_server.keys import service as keys  # noqa: PLC0415 - Loaded beside, see _load.

    assert settings.database_url is not None, "it has been found"
    if settings.production and await keys.same_database(key_store_url.reveal(), settings.database_url.reveal()):
        raise keys.KeyStoreUnsuitable(
            "In production, the key store can't be the tenants' database, or a copy of that would hold the keys: name "
            "another database in BILLFOLD_KEY_STORE_URL."
        )


def keys_beside(url: Secret) -> Secret:
    """Return where the keys lie if nobody says: in a database of the same PostgreSQL, named after the tenants'."""
    parts = urlsplit(url.reveal())
    name = unquote(parts.path.lstrip("/")) or unquote(parts.username or "")
    return Secret(urlunsplit(parts._replace(path=f"/{quote(name)}_keys")))


async def _beside(settings: Settings) -> Secret:
    """Return a database beside the tenants', made where it isn't there; or theirs, where we may make none.

    Raises:
        Failure: We have no administrator's rights, or this is production, where somebody decides where keys lie.
    """
    from billfold_server.keys import service as keys  # noqa: PLC0415 - Loaded beside, see _load.

    if settings.admin_database_url is None or settings.production:
        raise Failure(
            "key_store_missing",
            "Nobody has said where the keys lie: set BILLFOLD_KEY_STORE_URL to a database of their own.",
            Exit.SETTINGS,
        )
    beside = keys_beside(settings.admin_database_url)
    name = unquote(urlsplit(beside.reveal()).path.lstrip("/"))
    if await keys.create_database(settings.admin_database_url.reveal(), name):
        return beside
    _log.warning("no database may be made for the keys, so they lie in the tenants'; production refuses that")
    return settings.admin_database_url


def _insist(facts: Facts, settings: Settings, *, connections: bool = True) -> None:
    failure = unfit(facts, settings)
    if failure is not None and (connections or failure.code != "too_few_connections"):
        raise failure


async def finished(work: Callable[[], T], *, undo: Callable[[], object] | None = None) -> T:
    """Do work in a thread, to its end even when cancelled, since it can't be; what it did is undone then."""
    # No task, which would be cancelled with all others where the program is broken off in the midst of its loop.
    working = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        # Where a program embeds the platform, anyio cancels each wait anew, and not the first alone.
        with anyio.CancelScope(shield=True):
            await asyncio.wait([working])
            if undo is not None and working.exception() is None:
                await asyncio.to_thread(undo)
        raise
