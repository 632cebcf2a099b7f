"""What filters let pass."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold import ids
from billfold.contract.events import WEBHOOK_ENDPOINT_TESTED
from billfold.contract.platform import Event
from billfold.contract.webhooks import WebhookEndpointState
from billfold.ids import Prefix
from billfold_server.webhooks import rules
from billfold_server.webhooks.rows import EndpointRow

NAMES = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=3).map(".".join)
FILTERS = st.none() | st.lists(NAMES | NAMES.map(lambda name: f"{name}.*"), min_size=1, max_size=3)


class TestAFilter:
    @pytest.mark.parametrize(
        ("event_types", "wanted"),
        [(None, True), (["a.b"], True), (["a.*"], True), (["a"], False), (["a.b.*"], False), (["ab.*", "b"], False)],
    )
    def test_lets_pass_a_type_or_all_below_a_name(self, event_types: list[str] | None, *, wanted: bool):
        """A name without an asterisk is one type, and an asterisk stands for at least one more word."""
        assert rules.wants(event_types, "a.b") is wanted

    @given(st.lists(FILTERS, max_size=4), NAMES)
    def test_is_never_narrower_than_what_is_asked_of_the_stream(self, filters: list[list[str] | None], name: str):
        """What any filter lets pass is among what the relay asks for."""
        asked = rules.wanted_types(filters)
        assert asked is None or (name in asked) is any(rules.wants(each, name) for each in filters)


class TestATest:
    def test_is_told_to_the_endpoint_that_is_tried_out_alone(self):
        """Whatever that one wants, and however much others want."""
        at = datetime(2026, 11, 20, tzinfo=UTC)
        choosy, greedy = (
            EndpointRow(
                id=ids.uuid7(),
                url="https://partner.example/",
                description=None,
                event_types=types,
                state=WebhookEndpointState.ENABLED,
                state_reason=None,
                sealed_keys=b"",
                public_key=b"",
                begins_after=0,
                version=1,
                created_at=at,
                updated_at=at,
            )
            for types in (("party.erased",), None)
        )
        event = Event(
            id=ids.new(Prefix.EVENT),
            sequence=7,
            type=WEBHOOK_ENDPOINT_TESTED.name,
            version=1,
            object_id=choosy.wire_id,
            data={},
            occurred_at=at,
        )
        assert (rules.is_told(choosy, event), rules.is_told(greedy, event)) == (True, False)


class TestWhatIsShown:
    @given(st.binary(max_size=6000))
    def test_is_bounded_text(self, body: bytes):
        """Whatever an endpoint says is text of a few kilobytes."""
        assert len(rules.shown_body(body)) <= rules.SHOWN_BYTES
        shown = rules.shown_headers({f"x-{n}-{body[:9]!r}" * 9: "v" * 900 for n in range(50)})
        assert sum(len(name) + len(value) for name, value in shown.items()) <= 20 * 360
