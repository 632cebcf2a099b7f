"""The platform of a process that runs tests: tenants that nobody has used, one after the other, in milliseconds."""

import asyncio
import itertools
import logging
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import msgspec

from billfold import ids
from billfold_server.db.background import Background
from billfold_server.db.embedded import EmbeddedPostgres
from billfold_server.http.services import Services
from billfold_server.identity.rules import TENANT_SCOPES
from billfold_server.identity.service import create_client
from billfold_server.serving.database import find_database
from billfold_server.serving.in_process import in_process
from billfold_server.serving.testing.folders import discard, discard_abandoned, folder_of
from billfold_server.serving.testing.recycling import Pristine, Recycler, registered_anew
from billfold_server.settings import Secret, Settings
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.manifest import Egress, Manifest, load_manifest
from billfold_server.tenancy.rules import TenantNames, tenant_names
from billfold_server.tenancy.shipped import find_folder

__all__ = ["Lent", "Sandboxes", "open_testing"]

_log = logging.getLogger("billfold.testing")

_CONNECTIONS: Final = 8
"""Few, so that a tenant gets connections that others had; a test waits longer for a new one than for all else."""
_CLUSTERS_CONNECTIONS: Final = 500
_SCOPES: Final = sorted(TENANT_SCOPES)
_MOST_PER_S, _MOST_AT_ONCE = 100_000, 1_000_000


class Lent(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant that nobody has used before.

    Attributes:
        base_url: Where a client believes it to be.
        client_id: An API client that may do everything.
        client_secret: Its secret.
        tenant: Which one it is.
        pristine: How its schema was at first.
    """

    base_url: str
    client_id: str
    client_secret: str
    tenant: TenantRef
    pristine: Pristine

    def __repr__(self) -> str:
        """Show where it is, and not the secret."""
        return f"Lent({self.base_url})"


class Sandboxes:
    """Gives out tenants, and takes them back.

    Attributes:
        app: The ASGI application in which they are, started.
    """

    def __init__(self, app: Any, recycler: Recycler, manifest: Manifest) -> None:
        self.app = app
        self._services: Services = app.state.services
        self._recycler = recycler
        self._manifest = manifest
        self._numbers = itertools.count(1)
        self._ready: list[Lent] = []
        self._under_way: set[asyncio.Task[None]] = set()

    async def take(self) -> Lent:
        """Return a tenant: one that was made pristine, or where there is none, a new one."""
        while not self._ready and self._under_way:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        return self._ready.pop() if self._ready else await self._make()

    async def give_back(self, lent: Lent) -> None:
        """Begin to make a tenant pristine, for whoever takes one next."""
        task = asyncio.create_task(self._recycle(lent), name=f"recycle-{lent.tenant.slug}")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def settle(self) -> None:
        """Wait until nothing is being made pristine any more."""
        if self._under_way:
            await asyncio.wait(self._under_way)

    async def _make(self) -> Lent:
        slug = self._slug()
        await self._services.tenants.apply(msgspec.structs.replace(self._manifest, slug=slug))
        tenant = await self._services.registry.get(slug)
        await self._background.leave(tenant.id)
        return await self._admit(tenant, await self._recycler.remember(_names(tenant)))

    async def _recycle(self, lent: Lent) -> None:
        services, old = self._services, lent.tenant
        try:
            await self._background.leave(old.id)
            new, slug = ids.uuid7(), self._slug()
            names = tenant_names(await services.database.deployment(), new)
            registered = registered_anew(old.id, new, slug)
            if await self._recycler.recycle(lent.pristine, _names(old), names, registered):
                services.registry.expire()
                self._ready.append(await self._admit(await services.registry.get(slug), lent.pristine))
        except Exception:  # noqa: BLE001 - Whatever it was, the next one gets a new tenant.
            _log.debug("a tenant was not recycled", exc_info=True)

    async def _admit(self, tenant: TenantRef, pristine: Pristine) -> Lent:
        """Register an API client."""
        services = self._services
        async with services.database.tx(tenant) as tx:
            client, secret = await create_client(
                tx, services.keyring, name="tests", scopes=_SCOPES, now=services.clock.now()
            )
        base_url = f"{services.settings.base_url}/t/{tenant.slug}"
        return Lent(
            base_url=base_url, client_id=client.client_id, client_secret=secret, tenant=tenant, pristine=pristine
        )

    @property
    def _background(self) -> Background:
        background: Background = self._services.rooms["background"]
        return background

    def _slug(self) -> str:
        return f"sandbox_{next(self._numbers)}"


@asynccontextmanager
async def open_testing(*, run: str | None = None, tenant: str | None = None) -> AsyncIterator[Sandboxes]:
    """Open a platform for tests in this process until the block ends; then nothing of it is left.

    No setting of the environment is heeded, so that tests are the same on every machine.

    Args:
        run: What all processes of a run have in common, and nobody else; they share a cluster.
        tenant: Name or folder of the tenant whose manifest all sandboxes have; the shipped sandbox's where absent.

    Raises:
        ManifestInvalid: The tenant's manifest can't be used.
        EmbeddedPostgresError: The embedded database can't be had.
    """
    manifest = _of_sandboxes(load_manifest(find_folder(tenant or "sandbox")))
    folder = folder_of(run or secrets.token_hex(8))
    cluster = EmbeddedPostgres(folder, max_connections=_CLUSTERS_CONNECTIONS, durable=False)
    try:
        await asyncio.to_thread(cluster.start)
        admin_url = await _own_database(cluster)
        settings = Settings(
            data_dir=str(_own_folder(folder)),
            database_url=Secret(admin_url),
            database_connections=_CONNECTIONS,
            log_level="warning",
        )
        async with find_database(settings) as found, in_process(found.settings) as app:
            connection = await asyncpg.connect(admin_url)
            try:
                sandboxes = Sandboxes(app, Recycler(connection), manifest)
                yield sandboxes
                await sandboxes.settle()
            finally:
                await connection.close()
    finally:
        # In one thread, one after the other: by Ctrl-C while it starts, each wait here is broken off, and what went on
        # beside it would find the cluster still in use and leave it.
        await asyncio.to_thread(_clear_up, cluster, folder)


def _clear_up(cluster: EmbeddedPostgres, folder: Path) -> None:
    """Take away the cluster with all of its run, once it has come to its start, and what killed runs have left."""
    cluster.stop()
    discard(folder)
    discard_abandoned()


def _of_sandboxes(manifest: Manifest) -> Manifest:
    """Return a tenant's manifest as a sandbox has it: its clock can be moved, and a secret lets a client in."""
    egress = manifest.egress
    return msgspec.structs.replace(
        manifest,
        sandbox=True,
        isolation="role",
        security_profile="sandbox",
        hosts=[],
        # The test's own receivers of webhooks are on this machine.
        egress=Egress(hosts=[*egress.hosts, "127.0.0.1"] if egress.hosts else [], loopback=True),
        rate_limit_per_s=_MOST_PER_S,
        rate_limit_burst=_MOST_AT_ONCE,
    )


async def _own_database(cluster: EmbeddedPostgres) -> str:
    """Create a database for this process, and return the DSN of its owner."""
    name = f"process_{os.getpid()}_{secrets.token_hex(4)}"
    connection = await asyncpg.connect(cluster.dsn())
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return urlunsplit(urlsplit(cluster.dsn())._replace(path=f"/{name}"))


def _own_folder(folder: Path) -> Path:
    """Return a folder for this process in that of the run."""
    own = folder / f"process-{os.getpid()}-{secrets.token_hex(4)}"
    own.mkdir(mode=0o700)
    return own


def _names(tenant: TenantRef) -> TenantNames:
    return TenantNames(schema=tenant.schema, owner_role=tenant.owner_role, runtime_role=tenant.runtime_role)
