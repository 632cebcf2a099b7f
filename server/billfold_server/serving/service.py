"""What ``billfold up`` does, from the first check to the last process that ends.

The order is that of what depends on what. The data folder's one place comes first and is given up last. Workers end
before the database does, so that what they have begun can finish. Whatever was begun is undone from wherever the start
fails or is called off.
"""

import asyncio
import contextlib
import functools
import logging
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import asyncpg
import msgspec

from billfold import errors
from billfold_server.db.embedded import EmbeddedPostgresError
from billfold_server.db.embedded.folders import prepare_home, runtime_user
from billfold_server.serving.database import Found, Step, find_database, follow_embedded
from billfold_server.serving.directory.directory import Directory
from billfold_server.serving.failures import Exit, Failure
from billfold_server.serving.files import insist_on_closed_keyring, insist_on_keyring
from billfold_server.serving.instance import Place, Running, only_server, workers_remain
from billfold_server.serving.listening import is_any, listen, reachable_host
from billfold_server.serving.orders import Orders, decryptors_orders, settings_sent, simulators_orders
from billfold_server.serving.supervisor import DECRYPTOR, SIMULATOR, Supervisor
from billfold_server.serving.tls.setting_up import DevelopmentFiles, ensure_certificates, with_certificates
from billfold_server.serving.vault.using import development_vault
from billfold_server.serving.welcome import (
    CUSTOMERS_FILE,
    SANDBOX_FILE,
    Credentials,
    Welcome,
    command_lines,
    curl_lines,
    mtls_curl_lines,
    python_lines,
)
from billfold_server.settings import Secret, Settings

if TYPE_CHECKING:
    from billfold_server.http.services import Services

__all__ = ["Announce", "make_current", "make_data_dir", "serve"]

_log = logging.getLogger("billfold.server")

T = TypeVar("T")
Announce = Callable[[Welcome], None]

_FOLLOW_S = 1.0
_DAY_S = 86_400.0
_MONTHS_AFTER_S = 60.0
"""How long after the start of a server the months are made that it has left for later."""
_TOGETHER_S = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SIGNALLED = 128
"""What a shell adds to a signal's number where a signal ended a process."""


class Signals:
    """The wish that all this end: the first signal asks for it, the second insists.

    One Ctrl-C may come twice at once, from the terminal and from a program in between that hands it on. So what comes
    with the first is no second.

    Attributes:
        stop: Is set by the first.
        insist: Is set by the second.
        last: The one that came last.
    """

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.insist = asyncio.Event()
        self.last: signal.Signals | None = None
        self._first_at = 0.0

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._came, number)
        return self

    def __exit__(self, *_: object) -> None:
        for number in _SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)
            # All is closed and the exit code is known; what comes now has nothing left to hasten.
            signal.signal(number, signal.SIG_IGN)

    def _came(self, number: signal.Signals) -> None:
        self.last = number
        now = asyncio.get_running_loop().time()
        if not self.stop.is_set():
            self._first_at = now
            self.stop.set()
        elif now - self._first_at > _TOGETHER_S:
            self.insist.set()

    async def unless_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Return what some work yields, or None if it was called off before."""
        task, stop = asyncio.create_task(work), asyncio.create_task(self.stop.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                return None
            return task.result()
        finally:
            stop.cancel()


@dataclass(frozen=True, slots=True)
class _Ready:
    """A server that serves."""

    supervisor: Supervisor
    decryptor: Supervisor
    simulator: Supervisor
    found: Found
    orders: Orders
    files: DevelopmentFiles | None


async def serve(
    settings: Settings, *, step: Step, announce: Announce, vault: bool | None = None, seed: int | None = None
) -> int:
    """Serve until a signal says to end, and return the exit code.

    Args:
        settings: As validated.
        vault: Whether to run a Vault for development; where nobody says, as the time before.
        seed: From what the sandbox's customers follow, where there are none yet.
        step: Is told what the start is doing.
        announce: Is told when requests are served.

    Raises:
        Failure: Something foreseeable is in the way; further exceptions as ``failures.explain`` knows them.
    """
    with Signals() as signals:
        async with AsyncExitStack() as stack:
            ready = await signals.unless_stopped(
                _start(settings, stack, signals, step=step, announce=announce, vault=vault, seed=seed)
            )
            if ready is not None:
                await _run(ready, signals)
    if signals.insist.is_set() and signals.last is not None:
        return _SIGNALLED + signals.last
    return Exit.OK


async def _start(
    settings: Settings,
    stack: AsyncExitStack,
    signals: Signals,
    *,
    step: Step,
    announce: Announce,
    vault: bool | None,
    seed: int | None,
) -> _Ready:
    began = time.monotonic()
    data_dir = make_data_dir(settings)
    place = stack.enter_context(only_server(data_dir))
    insist_on_closed_keyring(settings)
    settings, files = with_certificates(settings)
    listeners = _listen(settings, data_dir)
    settings = _reached_at(settings, *listeners)
    supervisor = Supervisor(listeners, settings.workers, **_shared_metrics(settings))
    decryptor = Supervisor([], 1, module=DECRYPTOR)
    # In production nothing may look like a payment that isn't one.
    simulator = Supervisor([], 0 if settings.production else 1, module=SIMULATOR)
    try:
        await supervisor.prepare()
        settings = await stack.enter_async_context(development_vault(settings, wanted=vault, step=step))
        await decryptor.prepare()
        await simulator.prepare()
        found = await stack.enter_async_context(find_database(settings, step=step))
    finally:
        # Entered after the database, wherever that went, so that workers end before it does, and the decryptor, which
        # they ask, after them.
        stack.push_async_callback(simulator.stop, timeout_s=settings.shutdown_timeout_s, at_once=signals.insist)
        stack.push_async_callback(decryptor.stop, timeout_s=settings.shutdown_timeout_s, at_once=signals.insist)
        stack.push_async_callback(supervisor.stop, timeout_s=settings.shutdown_timeout_s, at_once=signals.insist)
    settings = found.settings
    directory = None if settings.production else Directory(data_dir)
    ca_file = None if files is None else files.ca_file
    credentials = await make_current(settings, step=step, directory=directory, seed=seed, ca_file=ca_file)
    step(f"Starting {settings.workers} worker{'s' if settings.workers > 1 else ''}")
    orders = Orders(settings_sent(settings), owns_database=found.embedded is not None)
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.serve(orders))
        group.create_task(decryptor.serve(decryptors_orders(settings)))
        group.create_task(simulator.serve(simulators_orders(settings)))
    welcome = _welcome(settings, found, credentials, files, time.monotonic() - began)
    if seed not in {None, welcome.seed}:
        welcome.warnings.append(
            f"the sandbox has customers already, who follow from seed {welcome.seed}; "
            f"billfold sandbox reset --seed {seed} makes it anew."
        )
    _tell(place, settings, announce, welcome)
    return _Ready(supervisor, decryptor, simulator, found, orders, files)


def make_data_dir(settings: Settings) -> Path:
    """Return the data folder, made where it is missing.

    Raises:
        Failure: It can't be made, or we may not write to it.
        EmbeddedPostgresError: The same, as seen by the embedded database.
    """
    folder = Path(settings.data_dir)
    try:
        if settings.database_url is None:
            # Under root, the database's own user must be able to pass through what is made here.
            home = folder / "postgres"
            prepare_home(home, runtime_user(home / "data"))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise Failure(
            "data_dir_unwritable",
            f"Billfold can't write to its data folder {folder} ({error.strerror}): "
            "name one that this user may write to with --data-dir.",
            Exit.DATA_DIR,
            data_dir=str(folder),
        ) from error
    return folder


def _listen(settings: Settings, data_dir: Path) -> list[socket.socket]:
    """Return the sockets to listen on: one for everybody, and one for who is asked for a certificate, where we ask."""
    free = functools.partial(workers_remain, data_dir)
    first = listen(settings.host, settings.port, may_become_free=free)
    if settings.mtls_port is None:
        return [first]
    try:
        return [first, listen(settings.host, settings.mtls_port, option="--mtls-port", may_become_free=free)]
    except BaseException:
        first.close()
        raise


def _reached_at(settings: Settings, listener: socket.socket, asking: socket.socket | None = None) -> Settings:
    """Return settings that name the ports we got, and an address that can be used, where ours only says "all"."""
    port: int = listener.getsockname()[1]
    settings = msgspec.structs.replace(settings, port=port)
    if asking is not None:
        settings = msgspec.structs.replace(settings, mtls_port=asking.getsockname()[1])
    if settings.public_url is None and is_any(settings.host):
        scheme = "https" if settings.serves_tls else "http"
        settings = msgspec.structs.replace(settings, public_url=f"{scheme}://{reachable_host(settings.host)}:{port}")
    return settings


def _shared_metrics(settings: Settings) -> dict[str, Any]:
    """Return what lets several workers answer for the counts of all."""
    if settings.workers == 1:
        return {}
    folder = Path(settings.data_dir) / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)

    def mourn(pid: int) -> None:
        from prometheus_client import multiprocess  # noqa: PLC0415 - Needed when a worker has died, if ever.

        multiprocess.mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]

    return {"environment": {"PROMETHEUS_MULTIPROC_DIR": str(folder)}, "mourn": mourn}


async def make_current(
    settings: Settings,
    *,
    step: Step = lambda _: None,
    file: str = SANDBOX_FILE,
    directory: Directory | None = None,
    seed: int | None = None,
    ca_file: str | None = None,
) -> Credentials | None:
    """Bring all schemas up to date, and return the sandbox's credentials where there is one.

    Args:
        settings: With a database.
        step: Is told what is being done.
        file: Where in the data folder the credentials are kept.
        directory: Whose software may register itself at the sandbox; its files are made where they are missing.
        seed: From what the sandbox's customers follow, where there are none yet.
        ca_file: The authority that clients must be told to trust, where the server has made one for itself.

    Raises:
        Failure: The database hasn't been set up, or a file of the directory is damaged.
    """
    from billfold_server.app import open_services  # noqa: PLC0415 - Loaded while PostgreSQL started.
    from billfold_server.serving.sandbox import ensure_sandbox  # noqa: PLC0415
    from billfold_server.tenancy.service import AT_FIRST  # noqa: PLC0415

    async with open_services(settings) as services:
        if settings.admin_database_url is None:
            await _tell_who_is_behind(services)
            return None
        step("Migrating tenants")
        # Of many ledgers the months take minutes. Those further ahead are made while this serves.
        migrated = await services.tenants.migrate(ahead=AT_FIRST)
        for each in migrated:
            if each.error is not None:
                _log.error("tenant %s could not be migrated: %s", each.slug, each.error)
        if settings.production:
            return None
        if directory is None:
            return await ensure_sandbox(services, step=step, file=file)
        await asyncio.to_thread(directory.ensure)
        publisher = directory.publisher()
        return await ensure_sandbox(services, step=step, file=file, publisher=publisher, seed=seed, ca_file=ca_file)


async def _tell_who_is_behind(services: "Services") -> None:
    """Log which schemas need a migration that this process may not do; the others are served all the same.

    Raises:
        Failure: The database hasn't been set up at all.
    """
    from billfold_server.tenancy import migrations  # noqa: PLC0415 - Loaded while PostgreSQL started.

    try:
        everyone = await services.tenants.everyone()
    except (errors.BillfoldError, asyncpg.PostgresError) as error:
        raise Failure(
            "database_not_set_up",
            "The database isn't set up for this login: run billfold tenants list with BILLFOLD_ADMIN_DATABASE_URL, "
            "and use the login that billfold database-url shows.",
            Exit.SETTINGS,
        ) from error
    for each in everyone:
        if migrations.is_behind("tenant", each.schema_version):
            _log.error("the schema of tenant %s is behind this version; run billfold tenants migrate", each.slug)


def _welcome(
    settings: Settings,
    found: Found,
    credentials: Credentials | None,
    files: DevelopmentFiles | None,
    took_s: float,
) -> Welcome:
    warnings: list[str] = []
    if not settings.production and not settings.host.startswith("127.") and settings.host not in {"::1", "localhost"}:
        warnings.append(
            f"this is a development server, and listening on {settings.host} it is open to the network; "
            "see BILLFOLD_ENVIRONMENT=production."
        )
    facts: dict[str, Any] = {}
    if credentials is not None:
        base, customers = credentials.base_url, Path(settings.data_dir) / CUSTOMERS_FILE
        facts = {
            "base_url": base,
            "docs_url": f"{base}/docs",
            "portal_url": f"{base}/portal",
            "token_url": f"{base}/oauth/token",
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret,
            "credentials_file": credentials.file,
            "customers_file": str(customers) if customers.exists() else None,
            "seed": credentials.seed,
            "directory": str(Directory(Path(settings.data_dir)).folder),
        }
        if credentials.suspended:
            warnings.append(
                "the sandbox is suspended, and answers nobody until billfold tenants resume sandbox --reason REASON."
            )
        else:
            facts["curl"] = curl_lines(credentials, files)
            facts["python"] = python_lines(credentials, files)
            facts["commands"] = command_lines(credentials, files)
    if files is not None:
        facts |= msgspec.structs.asdict(files)
        if settings.mtls_base_url is not None:
            facts["mtls_curl"] = mtls_curl_lines(settings.mtls_base_url, files)
    return Welcome(
        url=settings.base_url,
        mtls_url=settings.mtls_base_url,
        pid=os.getpid(),
        workers=settings.workers,
        data_dir=settings.data_dir,
        postgres=found.facts.version,
        embedded=found.embedded is not None,
        started_in_s=round(took_s, 3),
        warnings=warnings,
        **facts,
    )


def _tell(place: Place, settings: Settings, announce: Announce, welcome: Welcome) -> None:
    """Say that requests are served: to who asks for the data folder, to systemd, and to people or programs."""
    place.announce(Running(os.getpid(), settings.base_url, settings.port))
    _notify("READY=1")
    announce(welcome)
    _log.info("serving at %s with %d worker(s)", welcome.url, welcome.workers)


async def _run(ready: _Ready, signals: Signals) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(ready.supervisor.keep())
        group.create_task(ready.decryptor.keep())
        group.create_task(ready.simulator.keep())
        following = [group.create_task(work(ready)) for work in (_follow, _keep_months, _keep_certificates)]
        await signals.stop.wait()
        for task in following:
            task.cancel()
        _notify("STOPPING=1")
        _log.info("stopping: requests under way are finished first")
        # What stops us may have told our processes, too, and those that are asked by others are ended after these.
        for each in (ready.supervisor, ready.decryptor, ready.simulator):
            each.let_leave()
        timeout_s = ready.found.settings.shutdown_timeout_s
        await ready.supervisor.stop(timeout_s=timeout_s, at_once=signals.insist)
        await ready.decryptor.stop(timeout_s=timeout_s, at_once=signals.insist)
        await ready.simulator.stop(timeout_s=timeout_s, at_once=signals.insist)


async def _follow(ready: _Ready) -> None:
    """Send workers after the embedded database, should another program have taken its port while it was down."""
    embedded, orders = ready.found.embedded, ready.orders
    if embedded is None:
        return
    address = embedded.dsn()
    while True:
        await asyncio.sleep(_FOLLOW_S)
        try:
            moved = embedded.dsn()
        except (EmbeddedPostgresError, OSError):
            # Files of it can't be read just now. Who is connected already needs none of them.
            continue
        if moved != address:
            address = moved
            settings = follow_embedded(ready.found.settings, Secret(moved))
            ready.supervisor.renew(msgspec.structs.replace(orders, settings=settings_sent(settings)))
            ready.decryptor.renew(decryptors_orders(settings))


async def _keep_months(ready: _Ready) -> None:
    """Make the months of all ledgers ahead of time, every day, where we have the rights of the administrator."""
    from billfold_server.app import open_services  # noqa: PLC0415 - It has been loaded by now.

    rest_s = _MONTHS_AFTER_S
    while True:
        await asyncio.sleep(rest_s)
        rest_s = _DAY_S
        settings = ready.found.settings
        if settings.admin_database_url is None:
            return
        try:
            if ready.found.embedded is not None:
                settings = follow_embedded(settings, Secret(ready.found.embedded.dsn()))
            insist_on_keyring(settings)
            async with open_services(settings) as services:
                for each in await services.tenants.migrate():
                    if each.error is not None:
                        _log.error("the months of tenant %s could not be made: %s", each.slug, each.error)
        except Exception as error:  # noqa: BLE001 - Whatever it is, requests are served all the same.
            # What is missing goes to the default partition meanwhile, and tomorrow we try again.
            _log.error("the months of the ledgers could not be made: %s", str(error) or type(error).__name__)


async def _keep_certificates(ready: _Ready) -> None:
    """Renew the certificates for development in time, every day; workers see by themselves that they have changed."""
    while ready.files is not None:
        await asyncio.sleep(_DAY_S)
        try:
            await asyncio.to_thread(ensure_certificates, ready.found.settings)
        except (Failure, OSError) as error:
            _log.error("the certificates for development could not be renewed: %s", error)


def _notify(state: str) -> None:
    """Tell systemd how far we are, where it asked to be told (``Type=notify``; sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
            notifier.connect(f"\0{address[1:]}" if address.startswith("@") else address)
            notifier.send(state.encode())
