"""Identifiers: UUIDv7, and their one spelling on the wire (billfold.ids)."""

import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from billfold import ids
from billfold.ids import InvalidIdError, Prefix

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
UUIDS = st.integers(0, 2**128 - 1).map(lambda number: UUID(int=number))


class TestAWireForm:
    @given(st.sampled_from(list(Prefix)), UUIDS)
    def test_is_the_number_in_base_32(self, prefix: Prefix, value: UUID):
        """After the prefix come 26 characters, the number's digits in Crockford's alphabet, highest first."""
        text = ids.encode(prefix, value)
        head, _, body = text.partition("_")
        assert (head, len(body)) == (prefix.value, 26)
        number = 0
        for character in body:
            number = number * 32 + ALPHABET.index(character)
        assert number == value.int

    @given(st.sampled_from(list(Prefix)), UUIDS)
    def test_is_read_back(self, prefix: Prefix, value: UUID):
        """What was spelled is read, and names the same object."""
        assert ids.decode(prefix, ids.encode(prefix, value)) == value

    @given(UUIDS, UUIDS)
    def test_sorts_as_the_id(self, one: UUID, other: UUID):
        """Text compares as the UUIDs do, so keyset pages may sort by either."""
        assert (ids.encode(Prefix.WALLET, one) < ids.encode(Prefix.WALLET, other)) == (one < other)

    @given(st.text(max_size=40) | st.text(ALPHABET + " _+-\n٣ilou", min_size=26, max_size=26))
    @example("0" * 25 + "\n")
    @example(" " + "0" * 25)
    @example("0_" + "0" * 24)
    @example("+" + "0" * 25)
    @example("-" + "0" * 25)
    @example("0x" + "0" * 24)
    @example("٣" * 26)
    @example("\ud800" * 26)
    @example("é" * 13)
    @example("8" + "0" * 25)
    @example("W" * 26)
    def test_has_one_spelling(self, body: str):
        """Whatever isn't to the letter what ``encode`` makes is refused."""
        text = f"wal_{body}"
        try:
            value = ids.decode(Prefix.WALLET, text)
        except InvalidIdError:
            return
        assert ids.encode(Prefix.WALLET, value) == text

    @pytest.mark.parametrize("head", ["", "wal", "acc_", "_", "WAL_", "wal__"])
    def test_says_what_it_names(self, head: str):
        """Another prefix, or none, is refused without a query."""
        with pytest.raises(InvalidIdError) as refused:
            ids.decode(Prefix.WALLET, head + "0" * 26)
        assert refused.value.expected is Prefix.WALLET


class TestAUuid:
    def test_is_greater_than_all_before(self):
        """Order of creation is order of id, also within one millisecond."""
        made = [ids.uuid7() for _ in range(20_000)]
        assert made == sorted(made)
        assert len(set(made)) == len(made)

    def test_is_of_version_7(self):
        """Version and variant are where RFC 9562 wants them, and the first 48 bits are the time."""
        before = time.time_ns() // 1_000_000
        made = ids.uuid7()
        assert (made.version, made.variant) == (7, "specified in RFC 4122")
        assert before <= made.int >> 80 <= time.time_ns() // 1_000_000 + 100

    def test_never_goes_back(self):
        """A clock that is set back makes ids that go on from where they were."""
        ahead = ids.uuid7(time.time_ns() // 1_000_000 + 5)
        assert ids.uuid7(1_000) > ahead


INSTANTS = st.datetimes(datetime(1970, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone.


class TestAnIdOfAnInstant:
    @given(INSTANTS)
    def test_gives_the_instant_back(self, instant: datetime):
        """To the microsecond, and it is a UUID of version 7."""
        value = ids.uuid7_at(instant)
        assert ids.instant_of(value) == instant
        assert (value.version, value.int >> 62 & 0b11) == (7, 0b10)

    @given(INSTANTS, INSTANTS)
    def test_is_ordered_as_the_instants_are(self, one: datetime, other: datetime):
        """What was made of an earlier instant is smaller."""
        assume(one != other)
        assert (ids.uuid7_at(one) < ids.uuid7_at(other)) == (one < other)

    @given(INSTANTS)
    def test_lies_between_the_first_and_the_last(self, instant: datetime):
        """The bounds hold every id of their instant, and none of the next."""
        first, last = ids.first_at(instant), ids.last_at(instant)
        assert first <= ids.uuid7_at(instant) <= last
        assert ids.instant_of(first) == ids.instant_of(last) == instant
        if instant < datetime.max.replace(tzinfo=UTC):
            assert last < ids.first_at(instant + timedelta.resolution)

    @given(st.datetimes(max_value=datetime(1970, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - as above.
    def test_has_bounds_before_1970_too(self, instant: datetime):
        """Nothing was made then, so a bound of any such instant lies before all that was made since."""
        now = datetime(2026, 11, 20, tzinfo=UTC)
        assert ids.first_at(instant) < ids.last_at(instant) < ids.uuid7_at(now)
