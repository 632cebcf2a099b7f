"""How consents move: the table of transitions, and when they end."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from billfold import errors
from billfold_server.consents import rules
from billfold_server.consents.rules import EVENTS, FINAL, KINDS, STATUSES, TRANSITIONS, ConsentKind

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
BY_TIME = {"lapse", "expire"}


class TestTheTable:
    @pytest.mark.parametrize("kind", KINDS)
    def test_answers_every_question(self, kind: ConsentKind) -> None:
        """Each event in each status either leads to a status or is refused with both named."""
        for status, event in itertools.product(STATUSES, EVENTS):
            if (to := TRANSITIONS[kind].get((status, event))) is not None:
                assert rules.next_status(kind, status, event) == to
                continue
            with pytest.raises(errors.ConsentTransitionRefused) as refused:
                rules.next_status(kind, status, event)
            assert (refused.value.consent_status, refused.value.event) == (status, event)

    @pytest.mark.parametrize("kind", KINDS)
    def test_leads_nowhere_from_where_it_ends(self, kind: ConsentKind) -> None:
        """Final is final, and every other status that can be reached has a way out by time alone."""
        starts = {status for status, _ in TRANSITIONS[kind]}
        reached = {"AWAU", *TRANSITIONS[kind].values()}
        assert not starts & FINAL
        assert reached - FINAL == starts
        for status in starts:
            ways = {event for each, event in TRANSITIONS[kind] if each == status}
            assert ways & BY_TIME
            assert all(TRANSITIONS[kind][each, event] in FINAL for each, event in TRANSITIONS[kind] if event in BY_TIME)

    @pytest.mark.parametrize("kind", KINDS)
    def test_gives_each_kind_the_codes_of_its_document(self, kind: ConsentKind) -> None:
        """A single payment is consumed and never cancelled or expired; what lasts is never consumed."""
        lasting = {"AWAU", "AUTH", "RJCT", "CANC", "EXPD"}
        expected = {"AWAU", "AUTH", "RJCT", "COND"} if kind == "domestic_payment" else lasting
        assert {"AWAU", *TRANSITIONS[kind].values()} == expected


class TestAConsent:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("authorised", [False, True])
    @pytest.mark.parametrize("expires", [None, timedelta(minutes=5), timedelta(days=9_999)])
    def test_always_ends(self, kind: ConsentKind, expires: timedelta | None, *, authorised: bool) -> None:
        """Whatever was asked for, there is an end, and no later one than was asked for."""
        asked = None if expires is None else NOW + expires
        end = rules.ends_at(
            kind=kind,
            created_at=NOW,
            expires_at=asked,
            authorised_at=NOW + timedelta(hours=1) if authorised else None,
            pending_hours=24,
            most_days=365,
        )
        assert end <= NOW + timedelta(days=365)
        assert asked is None or end <= asked
        status = rules.STATUSES[1] if authorised else rules.STATUSES[0]
        event = rules.overdue(status, ends_at=end, expires_at=asked, now=end)
        assert event is not None
        assert rules.next_status(kind, status, event) in FINAL
        assert rules.overdue(status, ends_at=end, expires_at=asked, now=end - timedelta(seconds=1)) is None

    def test_allows_what_it_holds(self) -> None:
        """Details hold what is basic, and not the reverse."""
        assert rules.allows(frozenset({"ReadAccountsDetail"}), "ReadAccountsBasic")
        assert not rules.allows(frozenset({"ReadAccountsBasic"}), "ReadAccountsDetail")
        assert not rules.allows(frozenset({"ReadAccountsDetail"}), "ReadBalances")
