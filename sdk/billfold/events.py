"""What an event says, by its type: for whoever lists events, or is told of them by a webhook or a stream.

::

    from billfold import events, webhooks

    event = webhooks.verify(request.body, request.headers, "whsec_…")
    if transfer := events.data_of(event, events.TRANSFER_POSTED):
        print(transfer.amount)

or, for several types at once::

    match events.read(event):
        case events.UserEventData(id=user_id):
            ...
        case events.UnknownData():
            ...

``events.EVENTS`` has every type that this version knows. A newer server may have more of them, and more members in
those that are known; neither is an error. What such a type says is in ``event.data``, as it came.
"""

from typing import Any, TypeVar

import msgspec

from billfold.client._open import decoder
from billfold.contract import events as contract
from billfold.contract.common import Response
from billfold.contract.events import *  # noqa: F403 - Every type of event, and what it says.
from billfold.contract.events import EVENTS, EventType
from billfold.contract.platform import Event

D = TypeVar("D", bound=Response)

__all__ = ["UnknownData", "data_of", "read"]
__all__ += contract.__all__


class UnknownData(Response, frozen=True, kw_only=True):
    """What an event says that this version can't read: its type, or its version of that type, is newer."""

    fields: dict[str, Any]


def data_of(event: Event, kind: EventType[D]) -> D | None:
    """Return what an event says if it is of a type, and None if it is of another or of a newer version.

    Args:
        event: The event.
        kind: The type, such as ``events.TRANSFER_POSTED``.

    Raises:
        errors.MalformedAnswer: Something is missing that events of this version have.
    """
    if event.type != kind.name or event.version > kind.version:
        return None
    data: D = decoder(kind.data)(msgspec.json.encode(event.data))
    return data


def read(event: Event) -> Response:
    """Return what an event says, whatever its type; ``UnknownData`` where this version doesn't know it.

    Raises:
        errors.MalformedAnswer: Something is missing that events of this version have.
    """
    kind = EVENTS.get(event.type)
    data = None if kind is None else data_of(event, kind)
    return UnknownData(fields=event.data) if data is None else data
