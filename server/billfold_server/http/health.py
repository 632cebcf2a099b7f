"""Whether the server lives and is ready, and what it has counted."""

import asyncio
import ipaddress
from collections.abc import Mapping
from typing import Final, get_args

from billfold import errors
from billfold.contract.platform import CardsState, Health, KeysState
from billfold_server.http.routing import Call, Reply, Routes
from billfold_server.tenancy.transaction import Database

__all__ = ["routes"]

routes = Routes(tag="Operations", description="For load balancers and monitoring.", audience="host")

_PATIENCE_S: Final = 2.0
_TOLD: Final[Mapping[str, CardsState]] = {each: each for each in get_args(KeysState)}


class _Readiness:
    """Asks the database, once for all who want to know at the same time.

    Anybody may ask, without a token and as often as they like. They share one connection, and keep none from requests.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asking: asyncio.Task[None] | None = None

    async def ask(self) -> None:
        """Return once the database has answered; whatever is raised says why it can't."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
            # All who asked may have lost patience by then, and an error that nobody looks at would be logged.
            self._asking.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._asking)

    async def _ask(self) -> None:
        async with asyncio.timeout(_PATIENCE_S), self._database.platform_tx() as tx:
            only_reads = await tx.fetchval("SELECT current_setting('transaction_read_only') FROM registry") == "on"
        if only_reads:
            # After a failover the address may lead to what is a standby by now, where no request is served.
            raise errors.DatabaseUnavailable("the database can't write now: it is a standby, or set to be read only")


@routes.get("/health/live")
async def get_live(call: Call) -> Health:
    """Tell that the process answers.

    It says nothing of what the server leans on: a restart wouldn't bring back a database.
    """
    del call
    return Health(status="ok")


@routes.get("/health/ready", errors=(errors.DatabaseUnavailable,))
async def get_ready(call: Call) -> Health:
    """Tell whether requests can be served: the database answers, can write, and its schema is there.

    Warnings and the state of keys make no difference to who asks; they are for monitoring. The ledger needs no keys, so
    a worker without them is left in its place.
    """
    readiness = call.services.rooms.setdefault("readiness", _Readiness(call.services.database))
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await readiness.ask()
    except (TimeoutError, errors.Overloaded):
        raise errors.DatabaseUnavailable("the database doesn't answer in time") from None
    rotation = call.services.rooms.get("rotation")
    warnings = [] if rotation is None else rotation.warnings(call.services.clock.now())
    # A worker is left in its place, for where a key is lacking it is for all of them.
    warnings = [*warnings, *call.services.keys.warnings()]
    # Where events go to a stream: they are kept while it is away.
    if (stream := call.services.rooms.get("nats")) is not None:
        warnings = [*warnings, *stream.warnings()]
    # Anybody may ask, so it isn't said which; operators see that in their list of tenants.
    if unreadable := len(call.services.registry.unreadable):
        warnings = [*warnings, f"{unreadable} tenant(s) can't be read by this version; billfold tenants list says why"]
    if behind := call.services.registry.behind:
        warnings = [*warnings, f"{behind} tenant(s) have a schema behind this version; run billfold tenants migrate"]
    why_no_cards: str | None = call.services.decryptor.client.standing.reason
    return Health(
        status="ok",
        warnings=warnings,
        keys=call.services.keys.standing.reason or "ok",
        # What the decryptor says of its keys is told; what else keeps its answers away isn't anybody's business.
        cards=_TOLD.get(why_no_cards or "ok", "decryptor_away"),
    )


@routes.get("/metrics", response_media_type="text/plain; version=0.0.4; charset=utf-8", in_document=False)
async def get_metrics(call: Call) -> Reply[str]:
    """Show what was counted, in Prometheus's text form.

    Only for the networks that the settings name; to others there is nothing here.
    """
    networks = [ipaddress.ip_network(each) for each in call.services.settings.monitors]
    try:
        address = ipaddress.ip_address(call.peer)
    except ValueError:
        raise errors.NotFound from None
    if not any(address in network for network in networks):
        raise errors.NotFound
    return Reply(body=call.services.metrics.exposition())
