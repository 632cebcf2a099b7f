"""What events say is read by their types (billfold.events), and what is newer than this version is no error."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from billfold import Money, errors, events
from billfold.client._open import decoder
from billfold.contract.common import Response
from billfold.contract.platform import Event

WIRE = Path(__file__).parent / "wire" / "0.1"


def event(name: str, data: dict[str, Any], version: int = 1) -> Event:
    """Return an event as it came."""
    return Event(
        id="evt_01m7w9tnzcejq9b78b81gh4nmw",
        sequence=1,
        type=name,
        version=version,
        object_id="trf_01m7w9tnzcejq9b78b81gh4nmw",
        data=data,
        occurred_at=datetime(2026, 11, 20, tzinfo=UTC),
    )


def sample(kind: type[Response], **more: Any) -> dict[str, Any]:
    """Return the committed sample of what an event says, and more."""
    said: dict[str, Any] = json.loads((WIRE / f"{kind.__name__}.json").read_bytes())
    return said | more


class TestWhatAnEventSays:
    @pytest.mark.parametrize("kind", events.EVENTS.values(), ids=lambda kind: kind.name)
    def test_is_read_by_its_type(self, kind: events.EventType[Response]):
        """Each type of event is read into its own class, in which the sample of that class is read."""
        said = sample(kind.data)
        data = events.read(event(kind.name, said))
        assert isinstance(data, kind.data)
        assert data == decoder(kind.data)(json.dumps(said).encode())

    def test_has_the_types_of_the_contract(self):
        """Money is money, not a dictionary."""
        said = event("transfer.posted", sample(events.TRANSFER_POSTED.data))
        transfer = events.data_of(said, events.TRANSFER_POSTED)
        assert transfer is not None
        assert isinstance(transfer.amount, Money)

    def test_is_none_of_another_type(self):
        """Whoever asks for one type isn't told of another."""
        said = event("transfer.posted", sample(events.TRANSFER_POSTED.data))
        assert events.data_of(said, events.TRANSFER_REVERSED) is None

    def test_may_have_members_of_tomorrow(self):
        """A member that this version doesn't know is passed over."""
        said = event("party.erased", sample(events.PartyErasedEventData, of_tomorrow={"x": [1]}))
        assert events.data_of(said, events.PARTY_ERASED) == events.read(event("party.erased", {"id": said.data["id"]}))

    def test_is_as_it_came_where_its_type_is_newer(self):
        """A type that this version doesn't know is no error."""
        assert events.read(event("planet.discovered", {"id": "x"})) == events.UnknownData(fields={"id": "x"})

    def test_is_as_it_came_where_its_version_is_newer(self):
        """A version of a type that this version doesn't know is no error, and isn't misread either."""
        said = event("party.erased", {"id": "par_1"}, version=2)
        assert events.data_of(said, events.PARTY_ERASED) is None
        assert events.read(said) == events.UnknownData(fields={"id": "par_1"})

    def test_is_refused_where_something_is_missing(self):
        """An event that doesn't say what its version says isn't one of ours."""
        with pytest.raises(errors.MalformedAnswer):
            events.read(event("party.erased", {}))


class TestTheRegistry:
    def test_names_each_constant_after_its_event(self):
        """``transfer.posted`` is ``TRANSFER_POSTED``, for an editor to find."""
        constants = {
            name: value for name in events.__all__ if isinstance(value := getattr(events, name), events.EventType)
        }
        assert {name: kind.name.replace(".", "_").upper() for name, kind in constants.items()} == {
            name: name for name in constants
        }
        assert {kind.name: kind for kind in constants.values()} == events.EVENTS
