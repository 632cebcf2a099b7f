"""Codes in memory: for their time, once, in bounds, and gone without a trace."""

from uuid import UUID, uuid4

import pytest

from billfold_server.decryptor.cvcs import KEPT_S, Cvcs, uptime

TENANT, OTHER = uuid4(), uuid4()


class Hands:
    """A clock whose hands a test sets."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.time


@pytest.fixture
def hands() -> Hands:
    """The clock."""
    return Hands()


def memory(cvcs: Cvcs) -> bytes:
    """Return all that is in its memory."""
    return bytes(cvcs._memory)


class TestACode:
    def test_is_given_out_once(self, hands: Hands) -> None:
        """Then it is gone, from its memory, too."""
        cvcs, token = Cvcs(slots=8, clock=hands), uuid4()
        cvcs.keep(TENANT, token, "987")
        assert b"987" in memory(cvcs)
        assert cvcs.take(TENANT, token) == "987"
        assert cvcs.take(TENANT, token) is None
        assert memory(cvcs).strip(b"\0") == b""

    def test_has_ten_minutes(self, hands: Hands) -> None:
        """Not a second more, whether somebody asks or not."""
        cvcs, one, two = Cvcs(slots=8, clock=hands), uuid4(), uuid4()
        cvcs.keep(TENANT, one, "123")
        cvcs.keep(TENANT, two, "1234")
        hands.time += KEPT_S - 1
        assert cvcs.take(TENANT, one) == "123"
        hands.time += 1
        assert cvcs.take(TENANT, two) is None
        cvcs.keep(TENANT, one, "123")
        hands.time += KEPT_S
        cvcs.sweep()
        assert len(cvcs) == 0
        assert memory(cvcs).strip(b"\0") == b""

    def test_is_of_its_tenant_and_token_alone(self, hands: Hands) -> None:
        """Neither another tenant nor another token has it."""
        cvcs, token = Cvcs(slots=8, clock=hands), uuid4()
        cvcs.keep(TENANT, token, "123")
        assert cvcs.take(OTHER, token) is None
        assert cvcs.take(TENANT, uuid4()) is None
        assert cvcs.take(TENANT, token) == "123"

    def test_takes_the_place_of_the_tokens_former_one(self, hands: Hands) -> None:
        """A token has one code."""
        cvcs, token = Cvcs(slots=8, clock=hands), uuid4()
        cvcs.keep(TENANT, token, "123")
        cvcs.keep(TENANT, token, "999")
        assert len(cvcs) == 1
        assert cvcs.take(TENANT, token) == "999"


class TestItsMemory:
    def test_holds_a_number_of_codes_and_lets_the_oldest_go(self, hands: Hands) -> None:
        """Whoever sends more than there is room for loses the oldest."""
        cvcs = Cvcs(slots=4, clock=hands)
        tokens = [(uuid4(), uuid4()) for _ in range(6)]
        for tenant, token in tokens:
            cvcs.keep(tenant, token, "123")
        assert len(cvcs) == 4
        assert [cvcs.take(*each) for each in tokens] == [None, None, "123", "123", "123", "123"]

    def test_isnt_filled_by_one_tenant(self, hands: Hands) -> None:
        """A fourth is the most for one, whatever it sends."""
        cvcs = Cvcs(slots=16, clock=hands)
        other = uuid4()
        cvcs.keep(OTHER, other, "555")
        for number in range(1000):
            cvcs.keep(TENANT, UUID(int=number), "123")
        assert len(cvcs) == 5
        assert cvcs.take(TENANT, UUID(int=999)) == "123"
        assert cvcs.take(OTHER, other) == "555"

    def test_is_overwritten_in_the_end(self, hands: Hands) -> None:
        """Nothing can be asked after that."""
        cvcs = Cvcs(slots=8, clock=hands)
        cvcs.keep(TENANT, uuid4(), "123")
        cvcs.close()
        with pytest.raises(ValueError, match="closed"):
            memory(cvcs)

    def test_shows_nothing(self) -> None:
        """Printed, it is a number."""
        cvcs = Cvcs(slots=8)
        cvcs.keep(TENANT, uuid4(), "987")
        assert repr(cvcs) == "Cvcs(1)"


class TestTheClock:
    def test_goes_on(self) -> None:
        """It never goes back."""
        first = uptime()
        assert uptime() >= first > 0
