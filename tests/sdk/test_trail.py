"""The chain of an audit trail, and the verification of its export (billfold.chain)."""

import hashlib
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold import ids
from billfold.chain import (
    START,
    TRAIL_START,
    Damage,
    Head,
    TrailVerification,
    audit_record_text,
    ordered_leaf,
    ordered_text,
    seal_leaf,
    seal_text,
    verify_trail_export,
)
from billfold.chain.lines import name_of
from billfold.chain.trail import canonical_facts, join_ids, split_ids
from billfold.chain.trail_lines import (
    TRAIL_FORMAT,
    AuditRecordLine,
    OrderedLine,
    SealLine,
    TrailEndLine,
    TrailHeadLine,
    TrailLine,
    encode_trail_line,
    read_trail_line,
)

WHEN = datetime(2026, 11, 20, 14, 30, 0, 123456, UTC)
NOW = WHEN + timedelta(days=30)
ID = UUID("019a9f00-0000-7000-8000-000000000001")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def record_of(number: int, link: int | None, *, at: datetime = WHEN) -> AuditRecordLine:
    """Return a record."""
    recorded_at = at + timedelta(seconds=number)
    return AuditRecordLine(
        id=ids.uuid7_at(recorded_at),
        actor="usr_1",
        action="thing.done",
        object_id=f"obj_{number}",
        reason=None if number % 2 else "asked to",
        request_id="req_1",
        facts=msgspec.Raw(b'{"n": 1.0}'),
        recorded_at=recorded_at,
        link=link,
        salt=bytes([number % 256]) * 16,
    )


def order_of(number: int) -> OrderedLine:
    """Return who ordered a transfer."""
    recorded_at = WHEN + timedelta(seconds=number)
    return OrderedLine(
        kind="transfer", id=ids.uuid7_at(recorded_at), actor="cli_1", request_id=None, recorded_at=recorded_at
    )


def export(*links: tuple[list[AuditRecordLine], list[OrderedLine]], tenant: str | None = "bank") -> list[TrailLine]:
    """Return the lines of a trail with these links."""
    head, lines, ordered_to, sealed_at = TRAIL_START, list[TrailLine](), None, WHEN
    for number, (records, orders) in enumerate(links, 1):
        record_ids = join_ids([each.id for each in records])
        ordered = b"".join(each.leaf() for each in orders)
        ordered_to = orders[-1].id if orders else ordered_to
        sealed_at = WHEN + timedelta(hours=number)
        tree = [seal_leaf(record_ids=record_ids, ordered=ordered, ordered_to=ordered_to)]
        tree += [each.leaf() for each in records]
        head, _ = head.extend(tree, sealed_at)
        seal = SealLine(
            number=number,
            sealed_at=sealed_at,
            leaves=b"".join(tree),
            record_ids=record_ids,
            ordered=ordered,
            ordered_to=ordered_to,
            hash=head.hash,
        )
        lines += [seal, *records, *orders]
    return finished(lines, head, ordered_to, sealed_at, tenant)


def finished(
    lines: list[TrailLine], head: Head, ordered_to: UUID | None, sealed_at: datetime, tenant: str | None = "bank"
) -> list[TrailLine]:
    """Return lines between a head and an end that fit them."""
    known = [line.id for line in lines if isinstance(line, AuditRecordLine)]
    first = TrailHeadLine(
        format=TRAIL_FORMAT,
        tenant=tenant,
        number=head.number,
        hash=head.hash,
        skips=head.skips,
        sealed_at=sealed_at,
        ordered_to=ordered_to,
        oldest=min(known, default=None),
    )
    counts = Counter(name_of(line) for line in [first, *lines])
    return [first, *lines, TrailEndLine(counts=dict(counts))]


def small(tenant: str | None = "bank") -> list[TrailLine]:
    """Return a trail of three links."""
    return export(
        ([record_of(1, 1), record_of(2, 1)], [order_of(1), order_of(2), order_of(3)]),
        ([record_of(3, 2)], []),
        ([], [order_of(4), order_of(5)]),
        tenant=tenant,
    )


def verify(lines: list[TrailLine], trusted: Head | None = None, now: datetime = NOW) -> TrailVerification:
    """Verify lines as a file has them."""
    return verify_trail_export([encode_trail_line(line) for line in lines], trusted=trusted, now=now)


class TestTheTexts:
    def test_are_fixed_to_the_byte(self) -> None:
        """Whoever verifies in another language makes the same."""
        text = audit_record_text(
            id=ID,
            actor="usr_1",
            action="wallet.frozen",
            object_id="wal_1",
            reason="für\nAda",
            request_id=None,
            facts='{"b": [1.50, null, true], "a": "ä\\n"}',
            recorded_at=WHEN,
            salt=bytes(16),
        )
        assert text == (
            f"audit record\n{'00' * 16}\n{ID.hex}\n1795185000123456\n"
            "5:usr_1\n13:wallet.frozen\n5:wal_1\n8:für\nAda\n-\n"
            '34:{"a":"ä\\n","b":[15e-1,null,true]}'
        )
        assert ordered_text(kind="top_up", id=ID, actor="cli_1", request_id="") == (
            f"audit transfer\n{ID}\n5:cli_1\n0:\ntop_up"
        )
        empty = hashlib.sha256().hexdigest()
        assert seal_text(record_ids=b"", ordered=b"", ordered_to=None) == f"audit seal\n0\n{empty}\n0\n{empty}\n-"

    def test_of_links_are_those_of_no_ledger(self) -> None:
        """A link of one chain can't pass as one of the other."""
        ours, link = TRAIL_START.extend([bytes(32)], WHEN)
        theirs, other = START.extend([bytes(32)], WHEN)
        assert (link.text, other.text) == (f"audit {other.text}", other.text)
        assert ours.hash != theirs.hash
        again, second = ours.extend([bytes(32)], WHEN)
        assert (second.text.startswith("audit link\n2\n"), type(again)) == (True, type(TRAIL_START))

    @given(JSON)
    def test_spell_facts_in_one_way(self, value: object) -> None:
        """However they are written, and as JSON that says the same."""
        spelled = canonical_facts(json.dumps(value))
        assert canonical_facts(json.dumps(value, indent=2, ensure_ascii=False)) == spelled
        assert canonical_facts(spelled) == spelled
        # Exactly: a float would round whole numbers beyond 2 ** 53.
        exactly = partial(json.loads, parse_float=Decimal)
        assert exactly(spelled) == exactly(json.dumps(value))

    @pytest.mark.parametrize(
        ("number", "spelled"),
        [("0", "0"), ("-0.00", "0"), ("1200", "12e2"), ("1.20", "12e-1"), ("-5e-3", "-5e-3"), ("1E2", "1e2")],
    )
    def test_round_no_number(self, number: str, spelled: str) -> None:
        """Its digits are all there, without zeros at their end."""
        assert canonical_facts(number) == spelled
        assert canonical_facts("0." + "0" * 400 + "1") == "1e-401"
        assert canonical_facts("1" * 5000) == "1" * 5000 + "e0"

    @given(st.lists(st.uuids(), max_size=4))
    def test_take_ids_apart_as_they_were_joined(self, known: list[UUID]) -> None:
        """What is cut off is none."""
        assert split_ids(join_ids(known)) == split_ids(join_ids(known) + b"1") == known


class TestAnExport:
    def test_that_is_whole_holds(self) -> None:
        """With what isn't sealed yet, which is counted."""
        lines = small()
        found = verify(lines)
        assert (found.ok, found.head.number, found.unsealed) == (True, 3, 0), found.findings
        assert found.counts == {"trail": 1, "seal": 3, "audit_record": 3, "ordered": 5, "end": 1}
        assert verify(lines, found.head).ok
        assert verify(export()).ok

    def test_tells_what_is_not_sealed(self) -> None:
        """And since when."""
        first, *middle, _ = small()
        assert isinstance(first, TrailHeadLine)
        head = Head(number=first.number, hash=first.hash, skips=first.skips)
        lines = finished([*middle, record_of(9, None), order_of(8)], head, first.ordered_to, first.sealed_at)
        found = verify(lines)
        assert (found.ok, found.unsealed) == (True, 2), found.findings
        assert found.unsealed_since == WHEN + timedelta(seconds=8)

    def test_is_not_whole_without_any_of_its_lines(self) -> None:
        """Nor with any of them twice, or with two of them swapped."""
        lines = small()
        for place, line in enumerate(lines):
            assert not verify(lines[:place] + lines[place + 1 :]).ok, line
            assert not verify([*lines[: place + 1], line, *lines[place + 1 :]]).ok, line
            if place:
                swapped = [*lines[: place - 1], line, lines[place - 1], *lines[place + 1 :]]
                kinds = {type(line), type(lines[place - 1])}
                # What a link holds of the one kind may stand before or behind what it holds of the other.
                assert verify(swapped).ok is (kinds == {AuditRecordLine, OrderedLine}), line

    def test_is_not_whole_with_any_member_changed(self) -> None:
        """Of any line."""
        lines = small()
        for place, line in enumerate(lines[:-1]):
            for name in line.__struct_fields__:
                changed = msgspec.structs.replace(line, **{name: other(getattr(line, name))})
                if name == "tenant":
                    continue
                assert not verify([*lines[:place], changed, *lines[place + 1 :]]).ok, (line, name)

    @pytest.mark.parametrize("place", [0, 1, 2, 5])
    @pytest.mark.parametrize("text", [b"", b"{}", b"\xff", b'{"record":"end","counts":{},"counts":{}}', b"[" * 10**5])
    def test_names_a_line_that_is_none(self, place: int, text: bytes) -> None:
        """And goes on behind it."""
        lines = [encode_trail_line(line) for line in small()]
        found = verify_trail_export([*lines[:place], text, *lines[place:]], now=NOW)
        assert [(each.damage, each.line) for each in found.findings] == [(Damage.MALFORMED, place + 1)]

    def test_names_a_line_whose_facts_have_a_member_twice(self) -> None:
        """Readers of JSON may take either, and facts are kept in the spelling in which they came."""
        lines = [encode_trail_line(line) for line in small()]
        place = next(at for at, line in enumerate(lines) if b'"facts":{' in line)
        lines[place] = lines[place].replace(b'"facts":{', b'"facts":{"a":{"b":1,"\\u0062":2},', 1)
        found = verify_trail_export(lines, now=NOW).findings[0]
        assert (found.damage, found.line) == (Damage.MALFORMED, place + 1)

    def test_is_read_as_it_was_written(self) -> None:
        """Also by those whose JSON is spelled otherwise."""
        for line in small():
            written = encode_trail_line(line)
            assert read_trail_line(written) == line
            assert read_trail_line(json.dumps(json.loads(written), indent=1)).__struct_fields__

    def test_may_have_lost_what_was_kept_for_long(self) -> None:
        """From the oldest on and of a tenant's trail alone, once a year has passed."""
        whole = small()
        lines = [line for line in whole if not (isinstance(line, AuditRecordLine) and line.object_id < "obj_3")]
        later = NOW + timedelta(days=400)
        assert {each.damage for each in verify(lines, now=NOW).findings} >= {Damage.DROPPED}
        first, *middle, _ = lines
        assert isinstance(first, TrailHeadLine)
        head = Head(number=first.number, hash=first.hash, skips=first.skips)
        gone = finished(middle, head, first.ordered_to, first.sealed_at)
        found = verify(gone, now=later)
        # The tolerance is a minute, and these are seconds apart, so the order among them doesn't matter.
        assert (found.ok, found.deleted) == (True, 2), found.findings
        assert not verify(gone, now=NOW).ok
        of_platform = [msgspec.structs.replace(gone[0], tenant=None), *gone[1:]]
        assert not verify(of_platform, now=later).ok

    def test_may_have_lost_no_record_behind_one_that_is_there(self) -> None:
        """However old both are."""
        old, young = record_of(1, 1), record_of(1_000_000, 2)
        lines = export(([old], []), ([young], []))
        kept = [line for line in lines if line != young]
        assert isinstance(kept[-1], TrailEndLine)
        kept[-1] = TrailEndLine(counts={**kept[-1].counts, "audit_record": 1})
        found = verify(kept, now=NOW + timedelta(days=4000))
        assert [(each.damage, each.id) for each in found.findings] == [(Damage.DROPPED, str(young.id))]

    def test_counts_what_was_put_in_without_end(self) -> None:
        """A hundred are named, and the others counted."""
        orders = [order_of(number) for number in range(1, 400)]
        lines = export(([], [orders[0], orders[-1]]))
        first, seal, *_ = lines
        assert isinstance(first, TrailHeadLine)
        head = Head(number=first.number, hash=first.hash, skips=first.skips)
        found = verify(finished([seal, *orders], head, first.ordered_to, first.sealed_at))
        assert (len(found.findings), found.further) == (100, 1)
        assert {each.damage for each in found.findings} == {Damage.INSERTED}

    def test_needs_a_chain_with_the_head_that_is_trusted(self) -> None:
        """At its number, and as far as that."""
        lines = small()
        wrong = [Head(number=2, hash=bytes(32)), Head(number=4, hash=bytes(32)), Head(number=-1, hash=bytes(32))]
        for trusted in wrong:
            found = verify(lines, trusted)
            assert [each.record for each in found.findings] == ["link"], trusted
            assert "ledger" not in found.findings[0].fact


def other(value: Any) -> Any:
    """Return another value of the same type."""
    if value is None:
        return None if value else "other"
    if isinstance(value, str):
        return f"{value}!"
    if isinstance(value, msgspec.Raw):
        return msgspec.Raw(b'{"n":2}')
    if isinstance(value, bytes):
        return value[:-1] + bytes([value[-1] ^ 1]) if value else b"!" * 32
    if isinstance(value, UUID):
        return UUID(int=value.int + 1)
    return value + (timedelta(microseconds=1) if isinstance(value, datetime) else 1)


class TestAnOrder:
    def test_is_the_same_leaf_whoever_makes_it(self) -> None:
        """The line's, and that of the function."""
        line = order_of(1)
        assert line.leaf() == ordered_leaf(kind="transfer", id=line.id, actor="cli_1", request_id=None)
