"""What holds were placed as, in the verification of an export (billfold.chain.verify_export)."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from billfold import chain
from billfold.chain import Damage
from billfold.chain.records import HoldRecord, HoldTermsRecord, MovementRecord, PartyRecord, Record
from tests.sdk.ledgers import CASH, FIRST, SALT, START, Ledger, some_books
from tests.sdk.test_verification import NOBODY, edited, first, places, rechained, verify

OTHERS: list[dict[str, Any]] = [
    {"expires_at": START + timedelta(days=90)},
    {"expires_at": None},
    {"description": "gift"},
    {"description": None},
    {"metadata": {"room": "8"}},
    {"metadata": {}},
    {"description": None, "metadata": {}},
    {"wallet_id": NOBODY},
    {"to_wallet_id": NOBODY},
    {"account_id": CASH},
    {"to_account_id": None},
    {"currency": "USD"},
    {"amount_minor": 41},
]


def placed(*, terms: bool = True) -> tuple[list[Record], int]:
    """Return books with a hold that has a text and an end, and where it stands."""
    ledger = Ledger()
    ledger.holds_have_terms = terms
    ledger.move("top_up", CASH, FIRST, 1_000)
    ledger.commit()
    ledger.hold(40, description="deposit", metadata={"room": "7"}, expires_at=START + timedelta(days=9))
    ledger.move("top_up", CASH, FIRST, 1)
    ledger.commit()
    lines = ledger.export()
    (place,) = places(lines, HoldRecord)
    return lines, place


class TestAHold:
    @pytest.mark.parametrize("facts", OTHERS)
    def test_is_named_where_it_is_not_as_it_was_placed(self, facts: dict[str, Any]):
        """Whatever was changed of it; and if its record was changed alike, so that both agree, that is named."""
        lines, place = placed()
        assert verify(lines).ok
        hold = lines[place]
        assert isinstance(hold, HoldRecord)
        found = [one for one in verify(edited(lines, place, **facts)).findings if one.damage is Damage.EDITED]
        assert {(one.record, one.id) for one in found} == {("hold", str(hold.id))}
        alike = {name: value for name, value in facts.items() if name in HoldTermsRecord.__struct_fields__}
        text = {"description": hold.description, "metadata": hold.metadata} | facts
        if not alike:
            alike = {"text_commitment": chain.commitment(SALT, text["description"], text["metadata"])}
        damages = verify(edited(edited(lines, place, **facts), place + 2, **alike)).findings
        assert (Damage.EDITED, "hold_terms", str(hold.id)) in {(one.damage, one.record, one.id) for one in damages}

    def test_of_which_the_record_is_gone_is_missed_after_its_first_movement(self):
        """Nobody gets around the record by dropping it: its leaf is there, and says where."""
        lines, place = placed()
        hold = lines[place]
        assert isinstance(hold, HoldRecord)
        changed = edited(lines, place, expires_at=None)
        found, *others = verify(Ledger.ended([*changed[: place + 2], *changed[place + 3 : -1]])).findings
        assert (found.damage, found.record, found.link, others) == (Damage.DROPPED, "record", 2, [])
        assert f"hold movement {hold.id}/0" in found.fact

    def test_that_is_gone_is_missed_by_its_records(self):
        """Its movement and its terms name it."""
        lines, place = placed()
        hold = lines[place]
        assert isinstance(hold, HoldRecord)
        findings = verify(Ledger.ended([*lines[:place], *lines[place + 1 : -1]])).findings
        named = {(one.damage, one.record, one.id) for one in findings}
        assert named == {
            (Damage.DANGLING, "hold_movement", f"{hold.id}/0"),
            (Damage.DANGLING, "hold_terms", str(hold.id)),
        }
        whole = first(Ledger.ended([*lines[:place], *lines[place + 3 : -1]]))
        assert (whole.damage, whole.link) == (Damage.DROPPED, 2)

    def test_that_was_inserted_is_named_by_its_records(self):
        """None of them was committed, neither of one that comes with all that a hold has, nor of one without terms."""
        lines, place = placed()
        both: dict[type, str] = {HoldRecord: "id", MovementRecord: "hold_id", HoldTermsRecord: "hold_id"}
        fakes = []
        for line in lines[place : place + 3]:
            at = {} if isinstance(line, HoldRecord) else {"recorded_at": later(line)}
            fakes.append(edited([line], 0, **{both[type(line)]: NOBODY}, **at)[0])
        inserted = Ledger.ended([*lines[: place + 3], *fakes, *lines[place + 3 : -1]])
        named = {(one.record, one.id) for one in verify(inserted).findings if one.damage is Damage.INSERTED}
        assert named == {("hold_movement", f"{NOBODY}/0"), ("hold_terms", str(NOBODY))}
        found = first(Ledger.ended([*lines[: place + 3], *fakes[:2], *lines[place + 3 : -1]]))
        assert (found.damage, found.record, found.id) == (Damage.INSERTED, "hold_movement", f"{NOBODY}/0")

    def test_is_placed_once_and_before_it_moves_on(self):
        """Though the chain was made anew: of two records of it one is wrong, and one that comes later is."""
        ledger = some_books()
        lines = ledger.export()
        place = places(lines, HoldTermsRecord)[0]
        terms = lines[place]
        for at in (place + 1, places(lines, MovementRecord)[1] + 1):
            again = edited([terms], 0, recorded_at=later(lines[at - 1]))
            findings = verify(rechained(Ledger.ended([*lines[:at], *again, *lines[at:-1]]))).findings
            assert (Damage.INCONSISTENT, "hold_terms") in {(one.damage, one.record) for one in findings}

    def test_without_text_has_none_later(self):
        """No commitment means that there was no text, and a salt without one is no salt."""
        ledger = Ledger()
        ledger.move("top_up", CASH, FIRST, 1_000)
        ledger.hold(40)
        ledger.commit()
        lines = ledger.export()
        (place,) = places(lines, HoldRecord)
        for facts in ({"description": ""}, {"description": "gift"}, {"metadata": {"room": "7"}}):
            found = first(edited(lines, place, **facts))
            assert (found.damage, found.record) == (Damage.EDITED, "hold")
        assert first(edited(lines, place + 2, text_salt=SALT)).damage is Damage.EDITED

    def test_survives_the_erasure_of_its_text(self):
        """Text goes with its salt when somebody is forgotten whose wallet it is on or for, and not otherwise."""
        lines, place = placed()
        blank = edited(lines, place, description=None, metadata={})
        erased = edited(blank, place + 2, text_salt=None)
        found = first(erased)
        assert (found.damage, found.record) == (Damage.EDITED, "hold")
        forgotten = edited(erased, places(lines, PartyRecord)[0], forgotten_at=START)
        assert verify(forgotten).ok
        # What is left of the text is no longer what anybody committed to, and a salt alone is left of nothing.
        for left in ({"description": "deposit"}, {"metadata": {"room": "7"}}):
            assert first(edited(forgotten, place, **left)).record == "hold"
        assert first(edited(forgotten, place + 2, text_salt=SALT)).record == "hold"

    def test_from_before_there_were_such_records_is_verified_as_it_was(self):
        """It stands in the same books as others that have theirs; of itself only the members from before are held."""
        lines, place = placed(terms=False)
        assert verify(lines).ok
        assert verify(edited(lines, 0, format="billfold.ledger/3")).ok
        for facts in OTHERS:
            beside = facts.keys() <= chain.UNHELD_BEFORE[HoldRecord].keys()
            assert verify(edited(lines, place, **facts)).ok == beside, facts
        ledger = Ledger()
        ledger.move("top_up", CASH, FIRST, 1_000)
        ledger.holds_have_terms = False
        ledger.hold(40, description="old")
        ledger.holds_have_terms = True
        ledger.hold(30, description="new")
        ledger.commit()
        lines = ledger.export()
        old, new = places(lines, HoldRecord)
        assert verify(lines).ok
        assert verify(edited(lines, old, description="else")).ok
        assert not verify(edited(lines, new, description="else")).ok


def later(line: Record) -> datetime:
    """Return the next instant after a record's."""
    at: datetime = getattr(line, "recorded_at")  # noqa: B009 - records of the timeline have one
    return at + timedelta(microseconds=1)
