"""Publishes tenants' events to NATS JetStream, each once and in order (ADR 36).

The relay hands over what is next in a tenant's stream, and marks it once it was taken. So nothing waits here: while
NATS is away, events stay in the outbox, and what comes of an attempt is known before the next begins.
"""

import asyncio
import random
import ssl
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from billfold.clock import Clock
from billfold.contract.platform import Event
from billfold_server.http.metrics import Metrics
from billfold_server.nats_settings import NatsSettings
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import TenantTx

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js import JetStreamContext

__all__ = ["ROOM", "NatsPublisher", "StreamUnavailableError"]

ROOM: Final = "nats"
"""Under which name ``build_app`` keeps the publisher in ``Services.rooms``, where there is one."""

log = structlog.get_logger(__name__)

_CONNECT_S: Final = 2.0
_ANSWER_S: Final = 5.0
_EVERY_S: Final = 1.0
"""How often one process tries to reach NATS, whoever waits for it."""
_ONCE_S: Final = 120.0
"""For how long a stream that we make knows the ids of what it has taken."""
_ID: Final = "Nats-Msg-Id"

# An instance of its own: the module's state is everybody's, and tests that draw by chance must be repeatable.
_CHANCE = random.Random()  # noqa: S311 - It only has to differ.


class StreamUnavailableError(Exception):
    """NATS can't be reached now. Whoever wants something of it comes again."""


class NatsPublisher:
    """Publishes events to JetStream.

    Subjects are ``<prefix>.<tenant>.<type>``, a message is the event as ``GET /v1/events`` shows it, and its
    ``Nats-Msg-Id`` is the event's id. One tenant's events go one after the other, each when the one before was taken.

    Args:
        settings: Where NATS is.
        metrics: Where events are counted.
        clock: The real clock.
    """

    name = "nats"

    def __init__(self, settings: NatsSettings, metrics: Metrics, clock: Clock) -> None:
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._client: Client | None = None
        self._stream: JetStreamContext | None = None
        self._connecting = asyncio.Lock()
        self._tried_at = -_EVERY_S
        self._away_since: datetime | None = None

    async def wanted(self, _: TenantTx) -> Sequence[str] | None:
        """Return that every type of event is published."""
        return None

    async def publish(self, tenant: TenantRef, events: Sequence[Event]) -> None:
        """Publish events that follow one another, but for those that the stream has already.

        Raises:
            StreamUnavailableError: NATS is away.
            Exception: Whatever NATS refuses. What comes before it in the batch was published.
        """
        try:
            stream = await self._connected()
            for event in await self._new(stream, tenant, events):
                ack = await stream.publish(
                    f"{self._subject(tenant)}.{event.type}",
                    msgspec.json.encode(event),
                    timeout=_ANSWER_S,
                    stream=self._settings.nats_stream,
                    headers={_ID: event.id, "Content-Type": "application/json"},
                )
                self._metrics.stream_told("duplicate" if ack.duplicate else "published")
        except Exception:
            self._metrics.stream_told("failed")
            self._note(away=True)
            raise
        self._note(away=False)

    def warnings(self) -> list[str]:
        """Return what monitoring should know, in a sentence: since when events haven't been published."""
        if self._away_since is None:
            return []
        return [f"events haven't been published to NATS since {self._away_since:%Y-%m-%dT%H:%M:%SZ}"]

    async def aclose(self) -> None:
        """Close the connection."""
        client, self._client, self._stream = self._client, None, None
        if client is not None:
            await client.close()

    def _note(self, *, away: bool) -> None:
        self._metrics.stream_reachable(reachable=not away)
        if not away:
            self._away_since = None
        elif self._away_since is None:
            self._away_since = self._clock.now()

    def _subject(self, tenant: TenantRef) -> str:
        return f"{self._settings.nats_subject}.{tenant.slug}"

    async def _new(self, stream: "JetStreamContext", tenant: TenantRef, events: Sequence[Event]) -> Sequence[Event]:
        """Return the events behind the tenant's last one in the stream, where that is one of them.

        A process that is killed between the last acknowledgement and its mark leaves a batch that begins with what was
        published. NATS knows ids for some minutes; the last message it knows for as long as it keeps any.
        """
        from nats.js.errors import NotFoundError  # noqa: PLC0415 - The extra may be absent where nothing is published.

        try:
            last = await stream.get_last_msg(self._settings.nats_stream, f"{self._subject(tenant)}.>")
        except NotFoundError:
            return events
        last_id = (last.headers or {}).get(_ID)
        behind = next((place for place, event in enumerate(events, 1) if event.id == last_id), 0)
        return events[behind:]

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
        import nats  # noqa: PLC0415 - The extra may be absent where nothing is published.
        from nats.errors import Error  # noqa: PLC0415

        servers = self._settings.nats_servers
        for server in _CHANCE.sample(servers, len(servers)):
            try:
                async with asyncio.timeout(2 * _CONNECT_S):
                    client = await nats.connect(server, **self._options())
            except (OSError, TimeoutError, Error) as error:
                log.warning("nats_unreachable", server=server, cause=type(error).__name__)
                continue
            try:
                stream = client.jetstream(timeout=_ANSWER_S)
                await self._ensure(stream)
            except BaseException:
                await client.close()
                raise
            self._client, self._stream = client, stream
            return stream
        raise StreamUnavailableError

    def _options(self) -> dict[str, Any]:
        settings = self._settings
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


async def _nothing(_: Exception) -> None:
    """Say nothing: what fails is told by whoever wanted it."""
