"""What filters let pass."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold_server.webhooks import rules

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


class TestWhatIsShown:
    @given(st.binary(max_size=6000))
    def test_is_bounded_text(self, body: bytes):
        """Whatever an endpoint says is text of a few kilobytes."""
        assert len(rules.shown_body(body)) <= rules.SHOWN_BYTES
        shown = rules.shown_headers({f"x-{n}-{body[:9]!r}" * 9: "v" * 900 for n in range(50)})
        assert sum(len(name) + len(value) for name, value in shown.items()) <= 20 * 360
