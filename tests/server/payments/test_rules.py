"""The life of a payment as tables."""

from datetime import timedelta
from itertools import product
from typing import get_args

import pytest

from billfold.contract.payments import PaymentStatus
from billfold_server.connectors.service import WORDS, Word
from billfold_server.payments import rules

EVENTS = get_args(rules.Event)
ROADS = [PaymentStatus(each) for each in ("RCVD", "PDNG", "ACTC", "ACCP", "ACSP", "ACWC", "ACSC", "ACCC")]
"""The statuses of a payment that goes well, none of which follows a later one."""


class TestTheLifeOfAPayment:
    def test_reaches_every_status_from_the_first(self) -> None:
        """Each status is reached from RCVD, and each leads to an end."""
        reached = {PaymentStatus.RECEIVED}
        while more := {to for (start, _), to in rules.PAYMENT_STATES.items() if start in reached} - reached:
            reached |= more
        assert reached == set(PaymentStatus)
        assert {PaymentStatus(each) for each in ("ACCC", "RJCT", "CANC", "BLCK")} == rules.FINAL

    def test_never_goes_back(self) -> None:
        """No step leads to a status before the one that it starts from."""
        for (start, event), to in rules.PAYMENT_STATES.items():
            assert event in EVENTS
            if to in ROADS:
                assert ROADS.index(to) > ROADS.index(start), (start, event)

    @pytest.mark.parametrize("event", EVENTS)
    def test_leads_each_event_to_one_status(self, event: rules.Event) -> None:
        """Whatever it starts from, an event leads to the same status, or nowhere."""
        found = {to for (_, each), to in rules.PAYMENT_STATES.items() if each == event}
        assert len(found) == 1
        for status in PaymentStatus:
            if (status, event) in rules.PAYMENT_STATES:
                assert rules.next_status(status, event) in found
            else:
                with pytest.raises(KeyError):
                    rules.next_status(status, event)

    def test_moves_money_at_every_end_and_at_none_before(self) -> None:
        """Where money has gone, back or on, no step makes it do something else."""
        assert set(rules.MONEY) == rules.FINAL | {PaymentStatus.SETTLED}
        assert rules.HEARD.isdisjoint(rules.MONEY)
        for (start, _), to in rules.PAYMENT_STATES.items():
            if start in rules.MONEY:
                assert rules.MONEY[start] == rules.MONEY[to]


class TestAWordOfARail:
    @pytest.mark.parametrize(("status", "word"), list(product(PaymentStatus, WORDS)))
    def test_has_an_effect_in_every_status(self, status: PaymentStatus, word: Word) -> None:
        """It moves the payment exactly where the table has a step; nothing that is said after an end moves anything."""
        effect = rules.effect_of(status, word)
        assert effect in get_args(rules.Effect)
        moves = status in rules.HEARD | {PaymentStatus.SETTLED} and (status, word) in rules.PAYMENT_STATES
        assert (effect == "moves") is moves
        if status in rules.FINAL:
            assert effect != "moves"

    @pytest.mark.parametrize(
        ("status", "word", "effect"),
        [
            ("ACSC", "settle", "repeats"),
            ("ACSC", "accept", "late"),
            ("ACSC", "reject", "contradicts"),
            ("ACCC", "cancel", "contradicts"),
            ("ACCC", "settle", "late"),
            ("RJCT", "settle", "contradicts"),
            ("RJCT", "credit", "contradicts"),
            ("RJCT", "cancel", "late"),
            ("RJCT", "accept", "late"),
            ("RJCT", "block", "contradicts"),
            ("BLCK", "reject", "contradicts"),
            ("ACWC", "accept", "late"),
            ("ACSP", "accept", "repeats"),
            ("RCVD", "settle", "contradicts"),
            ("ACCP", "pending", "nothing"),
        ],
    )
    def test_contradicts_what_tells_otherwise_of_the_money(self, status: str, word: Word, effect: str) -> None:
        """What agrees on the money is late or a repetition; what doesn't is a contradiction."""
        assert rules.effect_of(PaymentStatus(status), word) == effect


class TestATurnAtARail:
    def test_gives_the_order_at_once_only_the_very_first_time(self) -> None:
        """Whoever may have given the order before asks first; whoever was never to give it does nothing."""
        approved = PaymentStatus.APPROVED
        assert rules.doing(approved, turn=0, attempt=1) == "submit"
        assert {rules.doing(approved, turn=turn, attempt=at) for turn, at in ((0, 2), (1, 1), (3, 2))} == {"inquire"}
        assert rules.doing(PaymentStatus.RECEIVED, turn=0, attempt=1) == "nothing"
        assert rules.doing(PaymentStatus.SETTLED, turn=1, attempt=1) == "inquire"

    def test_is_followed_by_longer_and_longer_waits_until_there_is_one_a_day(self) -> None:
        """Silence is waited out for longer each time, then needs somebody; the rail is asked each day all the same."""
        waits = [rules.wait_after(silences) for silences in range(len(rules.WAITS))]
        assert waits == sorted(set(waits))
        assert sum(waits, timedelta()) > timedelta(days=1)
        assert {rules.wait_after(silences) for silences in (6, 7, 1_000)} == {timedelta(days=1)}
        assert [rules.is_silent(silences) for silences in (0, 5, 6, 1_000)] == [False, False, True, True]
