"""How what partners depend on is doing: in three words each, without a number that would tell of the inside."""

import asyncio
from datetime import timedelta
from typing import Final, Literal
from uuid import UUID

import msgspec

from billfold import errors
from billfold_server.http.routing import Call, Reply
from billfold_server.portal.pages import page, render
from billfold_server.portal.viewers import guest
from billfold_server.tenancy.clock import tenant_now
from billfold_server.webhooks.service import delivery_lag

__all__ = ["FRESH_S", "Status", "status_of"]

State = Literal["fine", "late", "away"]
FRESH_S: Final = 5
"""Anybody may ask, as often as they like; the database is asked once in so many seconds."""
_ROOM: Final = "portal status"
_PATIENCE_S: Final = 2.0
_LATE: Final = timedelta(minutes=1)


class Status(msgspec.Struct, frozen=True):
    """What a page of status shows.

    Attributes:
        database: Whether accounts can be read, and money moved.
        keys: Whether what is sealed can be opened.
        webhooks: Whether deliveries go out in time.
    """

    database: State
    keys: State
    webhooks: State

    @property
    def parts(self) -> dict[str, State]:
        """Return each part by its name; that there is an answer tells of the API."""
        return {"api": "fine", **msgspec.structs.asdict(self)}


async def status_of(call: Call) -> Status:
    """Return how the tenant's parts are doing, as it was found within the last seconds.

    Whoever asks while somebody looks waits for what they find, however many ask.
    """
    kept: dict[UUID, tuple[float, asyncio.Task[Status]]] = call.services.rooms.setdefault(_ROOM, {})
    now_s, tenant_id = asyncio.get_running_loop().time(), call.tenant.id
    known = kept.get(tenant_id)
    if known is None or now_s - known[0] >= FRESH_S or _has_failed(known[1]):
        known = kept[tenant_id] = now_s, asyncio.create_task(_look(call), name="portal status")
    # Who gives up waiting doesn't end the look for the others.
    return await asyncio.shield(known[1])


def _has_failed(look: "asyncio.Task[Status]") -> bool:
    return look.done() and (look.cancelled() or look.exception() is not None)


async def _look(call: Call) -> Status:
    services = call.services
    keys: State = "fine" if services.keys.standing.ok and services.decryptor.client.standing.ok else "away"
    try:
        async with asyncio.timeout(_PATIENCE_S), call.tx() as tx:
            lag = await delivery_lag(tx, await tenant_now(tx))
    except (TimeoutError, errors.Unavailable):
        return Status("away", keys, "away")
    return Status("fine", keys, "late" if lag > _LATE else "fine")


@page("GET", "/status")
async def show_status(call: Call, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Show how everything is doing, also where whoever looks can't be asked who they are."""
    found = await status_of(call)
    viewer = None if found.database == "away" else await guest(call)
    view = {"parts": found.parts, "seconds": FRESH_S}
    return render(call, "status.html", view, section="status", viewer=viewer, ui_locales=ui_locales)
