"""What is decided about simulations."""

import pytest

from billfold_server.sandbox.rules import shared_out


class TestUsesThatAreShared:
    @pytest.mark.parametrize(
        ("found", "most", "shares"),
        [
            ([], 3, []),
            ([(0, 2), (0, 2)], 3, [2, 1]),
            ([(1, 2), (0, None), (0, 5)], 4, [1, 3, 0]),
            ([(2, 2), (0, 1)], 9, [0, 1]),
        ],
    )
    def test_are_the_oldest_ones_first(self, found: list[tuple[int, int | None]], most: int, shares: list[int]):
        """Each is used as often as it may be, and one without a bound as often as is wanted."""
        assert shared_out(found, most) == shares
