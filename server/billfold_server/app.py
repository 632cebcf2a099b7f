"""Puts the server together. This is the only place that knows every part.

``build_app`` makes the ASGI application that uvicorn serves; ``open_services`` makes the same parts for the command
line and for the platform embedded in another process.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import structlog
from litestar import Litestar, Request
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.response import Response

from billfold import errors, ids
from billfold.clock import Clock, SystemClock
from billfold.contract.platform import TenantState
from billfold_server.account_statements import tasks as account_statements_tasks
from billfold_server.approvals import tasks as approvals_tasks
from billfold_server.approvals.service import Approvals
from billfold_server.audit.sealing import Sealer
from billfold_server.connectors.service import Rails
from billfold_server.consents import service as consents
from billfold_server.consents import tasks as consents_tasks
from billfold_server.consents import uses as consents_uses
from billfold_server.db.background import Background, keep_running
from billfold_server.db.jobs import JobKinds, JobRun
from billfold_server.db.personal import personal_names
from billfold_server.db.pools import CONNECTIONS, PoolSettings
from billfold_server.db.relay import Publisher, Relay
from billfold_server.db.runner import JobRunner
from billfold_server.db.sets import as_read
from billfold_server.decryptor import tasks as decryptor_tasks
from billfold_server.decryptor.service import SECRET as DECRYPTOR_SECRET
from billfold_server.decryptor.service import Client, WorkersDecryptor, folder_of
from billfold_server.expanders import EXPANDERS
from billfold_server.http import docs, expansion, problems
from billfold_server.http import tasks as http_tasks
from billfold_server.http.answers import Answer
from billfold_server.http.assembly import Assembled
from billfold_server.http.context import context_of
from billfold_server.http.edge import Edge
from billfold_server.http.inside import ROOM as INSIDE
from billfold_server.http.inside import Inside
from billfold_server.http.limits import Buckets, ClientLimits
from billfold_server.http.metrics import Metrics
from billfold_server.http.pipeline import Hot, Pipeline, allowed_methods, internal_path, path_handler, takes_pages
from billfold_server.http.services import REQUEST_LOG, Services
from billfold_server.http.shares import ROOM as SHARES
from billfold_server.http.shares import Names, Shares
from billfold_server.http.surfaces import refusal_on, surface_at
from billfold_server.identity.authorization import details
from billfold_server.identity.authorization.intents import OPEN_BANKING_CONSENT
from billfold_server.identity.authorization.wallet_access import WALLET_ACCESS
from billfold_server.identity.discovery import routes as discovery_routes
from billfold_server.identity.grants import service as grants
from billfold_server.identity.service import ONE_USES, Identity
from billfold_server.identity.signing import tasks as signing_tasks
from billfold_server.invariants import tasks as invariants_tasks
from billfold_server.keys.service import EndingKeys, Keeper, Keyring, Keys, open_keyring, open_keys
from billfold_server.ledger import service as ledger
from billfold_server.ledger import tasks as ledger_tasks
from billfold_server.ledger.service import Engine
from billfold_server.open_banking.events import tasks as events_tasks
from billfold_server.open_banking.events.publishing import Publisher as EventsPublisher
from billfold_server.open_banking.events.waiting import Waiting
from billfold_server.outbound.service import Outbound
from billfold_server.payments import service as payments
from billfold_server.payments import tasks as payments_tasks
from billfold_server.people import tasks as people_tasks
from billfold_server.people.pages.kit import Pages
from billfold_server.people.service import People
from billfold_server.portal.pages import ROOT
from billfold_server.privacy import tasks as privacy_tasks
from billfold_server.privacy.service import Privacy
from billfold_server.reconciliation import service as reconciliation
from billfold_server.request_log import service as request_log
from billfold_server.rooms import INVENTORIES, ROOMS, SUBJECTS, SWEEPS, operations
from billfold_server.sandbox import routes as sandbox_routes
from billfold_server.sandbox import tasks as sandbox_tasks
from billfold_server.sandbox.resetting import SEEDING
from billfold_server.sandbox.service import Stage
from billfold_server.settings import Mistake, Settings, SettingsInvalid
from billfold_server.streams import service as streams
from billfold_server.streams.service import NatsPublisher
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.deleting import Deletions
from billfold_server.tenancy.provisioning import Administrator
from billfold_server.tenancy.service import Registry, Tenants
from billfold_server.tenancy.transaction import Database
from billfold_server.tokens import tasks as vault_tasks
from billfold_server.wallets import service as wallets
from billfold_server.webhooks import tasks as webhooks_tasks
from billfold_server.webhooks.publishing import Publisher as WebhooksPublisher

__all__ = ["build_app", "build_services", "database_secret", "open_services"]

_log = structlog.stdlib.get_logger("billfold")


def build_services(settings: Settings) -> Services:
    """Make the process's parts. Nothing connects before it is first used.

    Raises:
        SettingsInvalid: There is no database; whoever runs an embedded one says where it is.
        KeyringUnusable: The keyring can't be opened.
    """
    if settings.database_url is None:
        raise SettingsInvalid([Mistake("database_url", "There is no database; set BILLFOLD_DATABASE_URL.")])
    clock = SystemClock()
    # The driver brings ids that are made, hashed and written several times faster than Python's own.
    ids.make_with(as_read)
    keyring = open_keyring(settings)
    database = Database(
        settings.database_url.reveal(),
        deployment_secret=database_secret(keyring),
        settings=PoolSettings(budget=settings.database_connections or CONNECTIONS),
    )
    metrics = Metrics()
    keys = open_keys(settings, keyring, observe=metrics.vault_called)
    registry = Registry(database)
    folder = Path(settings.data_dir) / "rate_limits"
    buckets = Buckets(folder, keyring.derive("rate limits"), shared=settings.workers > 1)
    services = Services(
        settings=settings,
        clock=clock,
        database=database,
        registry=registry,
        tenants=Tenants(
            database,
            _administrator(settings, keyring),
            registry,
            isolation=settings.default_isolation,
            keys=EndingKeys(keys),
        ),
        identity=_identity(settings, database, keyring, keys, clock),
        limits=ClientLimits(buckets, settings),
        keyring=keyring,
        keys=keys,
        cursor_key=keyring.derive("cursors"),
        idempotency_key=keyring.derive("idempotency fingerprints"),
        metrics=metrics,
        engine=_engine(database, clock),
    )
    services.decryptor = _decryptor(services)
    details.register(WALLET_ACCESS)
    details.register(OPEN_BANKING_CONSENT)
    services.metrics.watch(registry)
    services.metrics.count_unwritten(database.unwritten)
    services.metrics.follow(keys)
    services.metrics.follow(services.decryptor.client)
    services.decryptor.observe = services.metrics.vault_asked
    services.approvals = Approvals(services)
    _add_background(services)
    _set_stage(services)
    return services


def _set_stage(services: Services) -> None:
    """Let what looks outside ask first what is played there. In production there is no simulator, and no sandbox."""
    services.rooms[SEEDING], services.rooms[sandbox_tasks.CARDS] = _seed, _give_cards
    services.rooms[sandbox_routes.STAGE] = stage = Stage(services.database, services.registry)
    if services.settings.production:
        return
    services.rooms[payments.ROOM].simulated.direct = stage.direct
    services.keys.backends.guard(stage.guard_keys)
    services.decryptor.guard = stage.guard_decryptor
    services.slow_down = stage.slow_down


async def _seed(services: Services, tenant: TenantRef, seed: int | None) -> None:
    from billfold_server.serving import customers  # noqa: PLC0415 - Most servers never need it.

    await customers.seed(services, tenant, seed)


async def _give_cards(services: Services, run: JobRun) -> None:
    from billfold_server.serving.cards import give_cards  # noqa: PLC0415 - As above.

    await give_cards(services, run)


def _engine(database: Database, clock: Clock) -> Engine:
    return Engine(
        database,
        clock=clock,
        render_refusal=_render_refusal,
        stores=(*ledger.STORES, *wallets.STORES, *reconciliation.STORES, *consents.STORES, *payments.STORES),
        uses=ONE_USES,
    )


def _identity(settings: Settings, database: Database, keyring: Keyring, keys: Keys, clock: Clock) -> Identity:
    return Identity(
        database=database,
        keyring=keyring,
        keys=keys,
        clock=clock,
        base_url=settings.base_url,
        token_ttl_s=settings.access_token_ttl_s,
        production=settings.production,
        mtls_base_url=settings.mtls_base_url,
    )


def _decryptor(services: Services) -> WorkersDecryptor:
    client = Client(folder_of(services.settings.data_dir), services.keyring.derive(DECRYPTOR_SECRET))
    realm_of = services.identity.realm
    return WorkersDecryptor(client, services.database, services.clock, lambda tenant: realm_of(tenant).issuer)


def _add_background(services: Services) -> None:
    """Make what works beside the requests. It doesn't begin before ``build_app``'s application starts."""
    kinds = JobKinds()
    http_tasks.register(kinds)
    invariants_tasks.register(kinds)
    ledger_tasks.register(kinds, services.engine)
    people_tasks.register(kinds)
    account_statements_tasks.register(kinds)
    signing_tasks.register(kinds, services.identity)
    approvals_tasks.register(kinds, services.approvals)
    privacy_tasks.register(kinds, streams.sweeps(services.settings, SWEEPS), services.keys)
    decryptor_tasks.register(kinds, services.decryptor)
    vault_tasks.register(kinds, services)
    payments_tasks.register(kinds, services)
    sandbox_tasks.register(kinds, services)
    consents_tasks.register(kinds)
    rooms: Sequence[Any] = (
        http_tasks,
        invariants_tasks,
        signing_tasks,
        people_tasks,
        privacy_tasks,
        decryptor_tasks,
        vault_tasks,
        payments_tasks,
        account_statements_tasks,
    )
    schedules = [schedule for room in rooms for schedule in room.SCHEDULES]
    services.rooms["outbound"] = outbound = Outbound(production=services.settings.production)
    services.rooms["event waiting"] = waiting = Waiting()
    events_tasks.register(kinds, services, outbound)
    webhooks_tasks.register(kinds, services, outbound)
    publishers: list[Publisher] = [EventsPublisher(services, waiting), WebhooksPublisher(services.database)]
    if services.settings.nats_url is not None:
        # The last: nobody else waits for what is far away.
        services.rooms[streams.ROOM] = nats = NatsPublisher(services.settings, services.metrics, services.clock)
        publishers.append(nats)
    relay = Relay(services.database, publishers)
    services.metrics.expect_jobs(kinds)
    runner = JobRunner(services.database, kinds, schedules=schedules, relay=relay, buried=services.metrics.job_buried)

    async def active() -> list[TenantRef]:
        return [tenant for tenant in await services.registry.everyone() if tenant.state == TenantState.ACTIVE]

    services.rooms["jobs"] = runner
    services.rooms[payments.ROOM] = Rails(services.settings)
    services.rooms[discovery_routes.SERVED] = frozenset(operation.path for operation in operations())
    services.rooms["people"] = People(services.keyring, grants.revoke_grants)
    services.rooms["keeper"] = Keeper.of(services)
    services.rooms["privacy"] = Privacy(INVENTORIES, SUBJECTS)
    services.rooms["pages"] = Pages(services.keyring, services.clock, services.settings.base_url)
    services.rooms[docs.DOCUMENTS] = docs.Documents(lambda: ROOMS)
    services.rooms[consents_uses.ROOM] = consents_uses.Uses(services.database)
    personal = personal_names(INVENTORIES)
    services.rooms[REQUEST_LOG] = request_log.Recorder(services.database, services.registry, services.metrics, personal)
    services.rooms[expansion.EXPANDERS] = EXPANDERS
    services.rooms["deletions"] = Deletions(services.tenants)
    services.rooms["sealing"] = _sealer(services)
    services.rooms["background"] = Background(services.database, active, relay, runner)


def _sealer(services: Services) -> Sealer:
    metrics = services.metrics
    return Sealer(
        services.database,
        services.registry.everyone,
        count=metrics.trail_sealed,
        sealed_until=metrics.trails_sealed_until,
    )


async def _close(services: Services) -> None:
    """Close the process's parts: first what begins something new, last what the others stand on."""
    services.rooms["outbound"].close()
    if (publisher := services.rooms.get(streams.ROOM)) is not None:
        await publisher.aclose()
    await services.engine.close()
    await services.identity.signing.close()
    await services.decryptor.aclose()
    await services.rooms[payments.ROOM].aclose()
    await services.keys.close()
    await services.database.close()


def _render_refusal(error: errors.ProblemError, request_id: str | None) -> tuple[int, bytes]:
    return problems.status_of(type(error)), problems.encode_problem(error, request_id or "")


def _administrator(settings: Settings, keyring: Keyring) -> Administrator | None:
    if settings.admin_database_url is None:
        return None
    return Administrator(settings.admin_database_url.reveal(), deployment_secret=database_secret(keyring))


def database_secret(keyring: Keyring) -> bytes:
    """Return the secret from which the passwords of database logins are derived."""
    return keyring.derive("database logins")


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Make the process's parts, and close them in the end."""
    services = build_services(settings)
    try:
        yield services
    finally:
        await _close(services)


_RUNNING: Final = ("background", "rotation", consents_uses.ROOM, REQUEST_LOG, "keeper", "deletions", "sealing")
"""The rooms that go on for as long as the application is served."""


def build_app(settings: Settings) -> Litestar:
    """Return the server as an ASGI application.

    Args:
        settings: As ``load_settings`` has validated them, with a database.

    Raises:
        SettingsInvalid: There is no database.
        KeyringUnusable: The keyring can't be opened.
    """
    services = build_services(settings)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        running = {"keys": services.keys, "decryptor": services.decryptor}
        running |= {name: services.rooms[name] for name in _RUNNING}
        tasks = [asyncio.create_task(keep_running(name, room.run), name=name) for name, room in running.items()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await consents_uses.uses_of(services).flush()
            await services.rooms[REQUEST_LOG].write()
            services.metrics.report()
            await _close(services)

    pipelines = [Pipeline(operation, services) for operation in operations()]
    services.approvals.bind({each.operation.operation_id: each for each in pipelines})
    app = Assembled(
        route_handlers=_handlers(pipelines),
        lifespan=[lifespan],
        openapi_config=None,
        logging_config=None,
        exception_handlers={Exception: _refuse},
        request_max_body_size=None,
        debug=False,
    )
    app.state.services = services
    # Outside of the router: what decides to which tenant a path belongs must come before the router looks at it.
    app.state.hot = Hot(pipelines)
    app.asgi_handler = Edge(app.asgi_handler, services, app.state.hot)
    services.rooms[INSIDE] = Inside(app)
    services.rooms[SHARES] = shares = Shares(Names(services.registry, settings.own_hosts))
    services.metrics.count_waiting(shares)
    return app


def _handlers(pipelines: Sequence[Pipeline]) -> list[HTTPRouteHandler]:
    by_path: dict[str, list[Pipeline]] = defaultdict(list)
    for each in pipelines:
        by_path[internal_path(each.operation)].append(each)
    return [path_handler(path, each) for path, each in by_path.items()]


def _refuse(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer what the router refuses, and what no handler expected."""
    context = context_of(request.scope)
    match error:
        case MethodNotAllowedException():
            present = (error.headers or {}).get("allow", "").split(", ")
            problem: errors.ProblemError = errors.MethodNotAllowed(allowed=allowed_methods(filter(None, present)))
        case NotFoundException():
            problem = errors.NotFound("there is nothing at this address")
        case HTTPException(status_code=status) if status < 500:  # noqa: PLR2004 - The first status of a failure.
            problem = errors.InvalidRequest("the request can't be read")
        case _:
            _log.error("request failed", exc_info=error)
            problem = errors.InternalError()
    context.problem = problem
    accept = context.headers.get("accept", "*/*")
    by_page = context.path.startswith(ROOT) and takes_pages(accept)
    has_pages = context.tenant is not None or context.is_platforms
    if has_pages and (by_page or request.app.state.hot.tells_by_page(context.below, accept)):
        return _Ready(request.app.state.services.rooms["pages"].refusal(context, problem))
    return _Ready(refusal_on(surface_at(context.path), problem, context.request_id))


class _Ready(Response[bytes]):
    """An answer that is finished, in the form that the router wants of whoever handles exceptions."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(b"")
        self._answer = answer

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        """Return the answer as it is."""
        return self._answer
