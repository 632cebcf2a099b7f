"""Looks at NATS without changing anything there: who answers, lets us in, and has the stream or room for it."""

import ssl
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from billfold_server.nats_settings import NatsSettings
from billfold_server.streams.service import close, jetstream_of, open_client, options_of, said_by

if TYPE_CHECKING:
    from nats.js import JetStreamContext

__all__ = ["Finding", "State", "examine"]

State = Literal["there", "makeable", "full", "taken", "no_jetstream", "refused", "unreachable", "untrusted"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What was found at an address.

    Attributes:
        server: The address.
        state: Whether the stream is there or can be made, or what is in the way.
        said: What NATS itself says, where it does; or the stream that has our subjects.
    """

    server: str
    state: State
    said: str | None = None


async def examine(settings: NatsSettings) -> list[Finding]:
    """Look at each address that the settings name, as a worker that connects there.

    Raises:
        OSError: A file that the settings name can't be read.
        ValueError: It holds something else than it should.
    """
    options = options_of(settings)
    return [await _look(server, options, settings) for server in settings.nats_servers]


async def _look(server: str, options: dict[str, Any], settings: NatsSettings) -> Finding:
    from nats.errors import Error  # noqa: PLC0415 - The extra may be absent where nothing is published.

    try:
        client = await open_client(server, options)
    except ssl.SSLCertVerificationError:
        return Finding(server=server, state="untrusted")
    except (OSError, TimeoutError, Error) as error:
        said = said_by(error)
        return Finding(server=server, state="unreachable" if said is None else "refused", said=said)
    try:
        state, said = await _stream(jetstream_of(client), settings)
    except (TimeoutError, Error) as error:
        # Who may not ask is left without an answer.
        return Finding(server=server, state="no_jetstream", said=said_by(error))
    finally:
        await close(client)
    return Finding(server=server, state=state, said=said)


async def _stream(stream: "JetStreamContext", settings: NatsSettings) -> tuple[State, str | None]:
    """Tell whether the stream is there, or what would keep the server from making it."""
    from nats.js.errors import NotFoundError  # noqa: PLC0415

    try:
        await stream.stream_info(settings.nats_stream)
    except NotFoundError:
        pass
    else:
        return "there", None
    try:
        return "taken", await stream.find_stream_name_by_subject(f"{settings.nats_subject}.>")
    except NotFoundError:
        account = await stream.account_info()
    most = account.limits.max_streams
    # As many as anybody likes where that is 0 or less.
    return ("full" if 0 < most <= account.streams else "makeable"), None
