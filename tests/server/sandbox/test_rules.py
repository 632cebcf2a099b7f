"""What is decided about simulations."""

from uuid import UUID

import pytest

from billfold_server.sandbox.rules import shared_among


class TestWhatIsMetByASimulation:
    @pytest.mark.parametrize(
        ("found", "made", "met"),
        [
            ([], [5], [None]),
            ([(3, 0, 2)], [1, 4, 5, 6], [None, 0, 0, None]),
            ([(3, 0, 1), (5, 0, 1)], [4, 4, 6, 6], [0, None, 1, None]),
            ([(3, 1, 1), (3, 7, None)], [9, 9], [1, 1]),
        ],
    )
    def test_was_made_after_it(self, found: list[tuple[int, int, int | None]], made: list[int], met: list[int | None]):
        """Things are met in their order, each by the oldest simulation before it that isn't used up."""
        plays = [(UUID(int=number), used, times) for number, used, times in found]
        assert shared_among(plays, [UUID(int=number) for number in made]) == met
