"""Publishes tenants' events to NATS JetStream, each once and in order (ADR 36).

The relay hands over what is next in a tenant's stream, and marks it once it was taken. So nothing waits here: while
NATS is away, events stay in the outbox, and what comes of an attempt is known before the next begins.
"""

import asyncio
import contextlib
import random
import ssl
import time
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
import structlog

from billfold import ids
from billfold.clock import Clock
from billfold.contract.platform import Event
from billfold.ids import Prefix
from billfold_server.db import outbox
from billfold_server.db.retention import Sweep
from billfold_server.http.metrics import Metrics
from billfold_server.nats_settings import NatsSettings
from billfold_server.tenancy.context import TenantRef

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js import JetStreamContext
    from nats.js.api import PubAck

__all__ = [
    "ROOM",
    "NatsPublisher",
    "StreamUnavailableError",
    "close",
    "jetstream_of",
    "open_client",
    "options_of",
    "said_by",
    "sweeps",
]

ROOM: Final = "nats"
"""Under which name ``build_app`` keeps the publisher in ``Services.rooms``, where there is one."""

log = structlog.get_logger(__name__)

_CONNECT_S: Final = 2.0
_ANSWER_S: Final = 5.0
_CLOSE_S: Final = 0.1
_TURN_S: Final = 8.0
"""After how long no further event is sent in one go; what comes before and after is within the relay's patience."""
_EVERY_S: Final = 1.0
"""How often one process tries to reach NATS, whoever waits for it."""
_ONCE_S: Final = 120.0
"""For how long a stream that we make knows the ids of what it has taken."""
_SAID_MOST: Final = 200
"""So much is logged of what NATS says."""
_ID: Final = "Nats-Msg-Id"
_OMITTED: Final = "Billfold-Omitted"
"""What is left out of a message, because NATS takes none that is so large."""
_HEADERS_BYTES: Final = 512
"""What NATS counts besides what is said; ours are a third of it."""
_TOO_LARGE_FOR_STREAM: Final = 10054
"""How JetStream says that a stream's own limit (``max_msg_size``) is smaller than a message."""

# An instance of its own: the module's state is everybody's, and tests that draw by chance must be repeatable.
_CHANCE = random.Random()  # noqa: S311 - It only has to differ.


class StreamUnavailableError(Exception):
    """NATS can't be reached now. Whoever wants something of it comes again."""


class NatsPublisher:
    """Publishes events to JetStream.

    Subjects are ``<prefix>.<tenant>.<type>``, a message is the event as ``GET /v1/events`` shows it, and its
    ``Nats-Msg-Id`` is the event's id. One tenant's events go one after the other, each when the one before was taken.
    Of one that is too large for NATS all is sent but its ``data``, and the header ``Billfold-Omitted`` says so.

    Args:
        settings: Where NATS is.
        metrics: Where events are counted.
        clock: The real clock.
    """

    name = "nats"
    question = "NULL::boolean"

    def __init__(self, settings: NatsSettings, metrics: Metrics, clock: Clock) -> None:
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._client: Client | None = None
        self._stream: JetStreamContext | None = None
        self._connecting = asyncio.Lock()
        self._tried_at = -_EVERY_S
        self._away_since: datetime | None = None
        self._waiting: dict[UUID, datetime] = {}

    def wanted(self, _: TenantRef, __: None) -> Sequence[str] | None:
        """Return that every type of event is published."""
        return None

    async def publish(self, tenant: TenantRef, events: Sequence[Event]) -> int | None:
        """Publish events that follow one another, but for those that the stream has already.

        Where NATS is slow it is as many as there is time for: else one that takes each of them, but no batch in time,
        would be left alone for longer and longer.

        Raises:
            StreamUnavailableError: NATS is away.
            Exception: Whatever NATS refuses. What comes before it in the batch was published.
        """
        stream = None
        try:
            stream = await self._connected()
            ends_s = time.monotonic() + _TURN_S
            there = await self._there(stream, tenant, events)
            for number, event in enumerate(events[there:], there + 1):
                await self._tell(stream, tenant, event)
                if time.monotonic() > ends_s and number < len(events):
                    self._waiting[tenant.id] = _happened_at(events[number])
                    self._note(away=False)
                    return number
        except Exception as error:
            if isinstance(error, TimeoutError) and stream is self._stream:
                # Where a network is cut, a connection stays open for minutes with nobody at its other end. What others
                # have connected meanwhile is another one.
                await self.aclose()
            self._metrics.stream_told("failed")
            self._waiting[tenant.id] = _happened_at(events[0])
            self._note(away=True)
            raise
        self._waiting.pop(tenant.id, None)
        self._note(away=False)
        return None

    def caught_up(self, tenant: TenantRef) -> None:
        """Note that nothing of a tenant waits any longer: another process may have published what failed here."""
        self.leave(tenant.id)

    def leave(self, tenant_id: UUID) -> None:
        """Note that a tenant's events aren't waited for; where none are, nothing is to be alarmed about."""
        if self._waiting.pop(tenant_id, None) is None:
            return
        if self._waiting:
            self._measure()
        else:
            self._note(away=False)

    async def _tell(self, stream: "JetStreamContext", tenant: TenantRef, event: Event) -> None:
        """Publish an event; where it is larger than NATS takes, what it says is left out, and can be read at the API.

        So those behind it aren't kept back by it, and whoever follows the stream misses none.
        """
        from nats.js.errors import APIError  # noqa: PLC0415 - The extra may be absent where nothing is published.

        body = msgspec.json.encode(event)
        whole = self._client is not None and len(body) + _HEADERS_BYTES <= self._client.max_payload
        try:
            ack = await self._send(stream, tenant, event, body) if whole else None
        except APIError as error:
            if error.err_code != _TOO_LARGE_FOR_STREAM:
                raise
            ack = None
        outcome = "published"
        if ack is None:
            log.warning("nats_event_too_large", tenant=tenant.slug, event_id=event.id, bytes=len(body))
            reference = msgspec.structs.replace(event, data={})
            ack = await self._send(stream, tenant, event, msgspec.json.encode(reference), {_OMITTED: "data"})
            outcome = "reference"
        lag = self._clock.now() - _happened_at(event)
        self._metrics.stream_told("duplicate" if ack.duplicate else outcome, max(0.0, lag.total_seconds()))

    async def _send(
        self,
        stream: "JetStreamContext",
        tenant: TenantRef,
        event: Event,
        body: bytes,
        headers: dict[str, str] | None = None,
    ) -> "PubAck":
        return await stream.publish(
            f"{self._subject(tenant)}.{event.type}",
            body,
            timeout=_ANSWER_S,
            stream=self._settings.nats_stream,
            headers={_ID: event.id, "Content-Type": "application/json", **(headers or {})},
        )

    def warnings(self) -> list[str]:
        """Return what monitoring should know, in a sentence: since when events haven't been published."""
        if self._away_since is None:
            return []
        return [f"events haven't been published to NATS since {self._away_since:%Y-%m-%dT%H:%M:%SZ}"]

    async def aclose(self) -> None:
        """Close the connection."""
        client, self._client, self._stream = self._client, None, None
        if client is not None:
            await close(client)

    def _note(self, *, away: bool) -> None:
        self._metrics.stream_reachable(reachable=not away)
        self._measure()
        if not away:
            self._away_since = None
        elif self._away_since is None:
            self._away_since = self._clock.now()

    def _measure(self) -> None:
        oldest = min(self._waiting.values(), default=None)
        self._metrics.stream_behind(0.0 if oldest is None else (self._clock.now() - oldest).total_seconds())

    def _subject(self, tenant: TenantRef) -> str:
        return f"{self._settings.nats_subject}.{tenant.slug}"

    async def _there(self, stream: "JetStreamContext", tenant: TenantRef, events: Sequence[Event]) -> int:
        """Return how many of the events are in the stream: those up to the tenant's last one there, if it is of them.

        A process that is killed between the last acknowledgement and its mark leaves a batch that begins with what was
        published. NATS knows ids for some minutes; the last message it knows for as long as it keeps any.
        """
        from nats.js.errors import NotFoundError  # noqa: PLC0415 - The extra may be absent where nothing is published.

        try:
            last = await stream.get_last_msg(self._settings.nats_stream, f"{self._subject(tenant)}.>")
        except NotFoundError:
            # There may be no stream any more either, which was there when we connected.
            await self._ensure(stream)
            return 0
        last_id = (last.headers or {}).get(_ID)
        return next((place for place, event in enumerate(events, 1) if event.id == last_id), 0)

    # The connection. It isn't kept alive by the client: what it holds for later would be lost with the process.

    async def _connected(self) -> "JetStreamContext":
        client, stream = self._client, self._stream
        if client is not None and stream is not None and client.is_connected:
            return stream
        if self._connecting.locked() or time.monotonic() - self._tried_at < _EVERY_S:
            raise StreamUnavailableError
        async with self._connecting:
            await self.aclose()
            try:
                return await self._connect()
            finally:
                self._tried_at = time.monotonic()

    async def _connect(self) -> "JetStreamContext":
        from nats.errors import Error  # noqa: PLC0415 - The extra may be absent where nothing is published.

        try:
            options = options_of(self._settings)
        except (OSError, ValueError) as error:
            # No server is to blame for a file of ours, and none is asked without what it holds.
            log.warning("nats_files_unreadable", cause=type(error).__name__)
            raise StreamUnavailableError from error
        servers = self._settings.nats_servers
        for server in _CHANCE.sample(servers, len(servers)):
            try:
                client = await open_client(server, options)
            except (OSError, TimeoutError, Error) as error:
                log.warning("nats_unreachable", server=server, cause=type(error).__name__, said=said_by(error))
                continue
            try:
                stream = jetstream_of(client)
                await self._ensure(stream)
            except BaseException:
                await client.close()
                raise
            self._client, self._stream = client, stream
            return stream
        raise StreamUnavailableError

    async def _ensure(self, stream: "JetStreamContext") -> None:
        """Make the stream where there is none."""
        from nats.js.errors import NotFoundError  # noqa: PLC0415

        try:
            await stream.stream_info(self._settings.nats_stream)
        except NotFoundError:
            await stream.add_stream(
                name=self._settings.nats_stream,
                subjects=[f"{self._settings.nats_subject}.>"],
                duplicate_window=_ONCE_S,
            )


def sweeps(settings: NatsSettings, every: Sequence[Sweep]) -> Sequence[Sweep]:
    """Return what is deleted by itself; where nothing is published to NATS, events don't wait for it for ever."""
    if settings.nats_url is not None:
        return every
    work = partial(outbox.sweep, turned_off=[ROOM])
    return [msgspec.structs.replace(each, work=work) if each.work is outbox.sweep else each for each in every]


def _happened_at(event: Event) -> datetime:
    """Return when an event was written, on the real clock: ``occurred_at`` is on the tenant's."""
    return ids.instant_of(ids.decode(Prefix.EVENT, event.id))


def options_of(settings: NatsSettings) -> dict[str, Any]:
    """Return how a connection is made.

    Raises:
        OSError: A file that the settings name can't be read.
        ValueError: It holds something else than it should.
    """
    options: dict[str, Any] = {
        "name": "billfold",
        "allow_reconnect": False,
        # Else the first connection is tried for minutes.
        "max_reconnect_attempts": 1,
        "reconnect_time_wait": 0.05,
        "connect_timeout": _CONNECT_S,
        "error_cb": _nothing,
    }
    if settings.nats_user is not None and settings.nats_password_file is not None:
        options["user"] = settings.nats_user
        options["password"] = Path(settings.nats_password_file).read_text(encoding="utf-8").strip()
    if any(each.startswith("tls:") for each in settings.nats_servers):
        context = ssl.create_default_context(cafile=settings.nats_ca_file)
        if settings.nats_client_certificate is not None:
            context.load_cert_chain(settings.nats_client_certificate, settings.nats_client_key)
        options["tls"] = context
    return options


async def open_client(server: str, options: dict[str, Any]) -> "Client":
    """Connect to one server.

    Raises:
        OSError: It can't be reached, or TLS failed.
        TimeoutError: It doesn't answer in time.
        nats.errors.Error: It doesn't let us in.
    """
    from nats.aio.client import Client  # noqa: PLC0415 - The extra may be absent where nothing is published.

    client = Client()
    try:
        async with asyncio.timeout(2 * _CONNECT_S):
            await client.connect(server, **options)
    except BaseException:
        # A connection that was refused for its password is there all the same. One of which the handshake failed never
        # says that it is closed.
        await close(client)
        raise
    return client


def jetstream_of(client: "Client") -> "JetStreamContext":
    """Return what asks JetStream over a connection."""
    return client.jetstream(timeout=_ANSWER_S)


def said_by(error: BaseException) -> str | None:
    """Return why it is, where NATS itself says that, as of a wrong password: the error's class says nothing then."""
    from nats.errors import Error  # noqa: PLC0415

    return str(error)[:_SAID_MOST] if type(error) is Error else None


async def close(client: "Client") -> None:
    """Close a connection; where nobody is at its other end, it isn't waited for."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_S):
            await client.close()


async def _nothing(_: Exception) -> None:
    """Say nothing: what fails is told by whoever wanted it."""
