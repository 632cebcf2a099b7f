"""How the line of a tenant's commands is cut into batches."""

import time
from collections.abc import Callable

import pytest

from billfold_server.ledger.queue import Item, Pace, Queue, Run, Ticket
from billfold_server.wallets.service import TOP_UP
from tests.server.ledger.books import CALLER, Bench


class Stopwatch:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


def lined_up(bench: Bench, commands: int, monotonic: Callable[[], float] = time.monotonic) -> Queue:
    """Return a line in which that many commands wait."""
    queue = Queue(bench.tenant, monotonic=monotonic)
    add(queue, bench, commands)
    return queue


def add(queue: Queue, bench: Bench, commands: int) -> None:
    """Let that many commands more wait."""
    ticket = Ticket(queue, commands)
    queue.add(bench.tenant, [Item((TOP_UP, None, None), CALLER, ticket, place) for place in range(commands)])


class TestALine:
    @pytest.mark.parametrize(("follows", "taken"), [(True, [40, 20, 16]), (False, [80])])
    async def test_is_parted_where_one_batch_follows_another(
        self, bench: Bench, *, follows: bool, taken: list[int]
    ) -> None:
        """Half is left for the batch that is decided meanwhile; where none can be, all go together."""
        queue = lined_up(bench, 80)
        queue.follows = follows
        found = [len(queue.take(512)) for _ in taken]
        assert found == taken

    async def test_counts_what_is_under_way(self, bench: Bench) -> None:
        """A batch that follows is half of both."""
        queue = lined_up(bench, 80)
        queue.runs.append(Run(queue.take(512)))
        assert [len(queue.take(512)), len(queue.waiting)] == [40, 0]

    @pytest.mark.parametrize("follows", [True, False])
    async def test_is_left_alone_while_nothing_can_follow(self, bench: Bench, *, follows: bool) -> None:
        """The next batch begins when the one before is decided, or else when it is over, and is the larger by then."""
        queue = lined_up(bench, 80)
        queue.follows = follows
        run = Run(queue.take(40))
        run.is_decided = True
        queue.runs.append(run)
        assert queue.may_begin() is follows
        queue.runs.clear()
        assert queue.may_begin()

    async def test_says_how_long_it_will_take(self, bench: Bench) -> None:
        """By how fast its last batches went: 40 commands in two seconds, with 120 that wait or are under way."""
        clock = Stopwatch()
        queue = lined_up(bench, 160, clock)
        queue.follows = False
        assert queue.retry_after_s() == 1
        run = queue.begin(40)
        clock.now_s += 2
        queue.end(run)
        assert queue.retry_after_s() == 6
        queue.begin(40)
        assert queue.retry_after_s() == 6

    async def test_counts_batches_that_overlap_once(self, bench: Bench) -> None:
        """Two that were under way for four seconds together have taken four, not the six that they were seen."""
        clock = Stopwatch()
        queue = lined_up(bench, 80, clock)
        first = queue.begin(20)
        clock.now_s += 2
        second = queue.begin(20)
        queue.end(first)
        clock.now_s += 2
        queue.end(second)
        assert (len(first.batch), len(second.batch), queue.retry_after_s()) == (20, 20, 4)

    async def test_is_not_slow_because_it_was_empty(self, bench: Bench) -> None:
        """An hour in which nobody wanted anything says nothing of the pace."""
        clock = Stopwatch()
        queue = lined_up(bench, 1, clock)
        for _ in range(2):
            run = queue.begin(1)
            clock.now_s += 0.5
            queue.end(run)
            clock.now_s += 3600
            add(queue, bench, 1)
        add(queue, bench, 9)
        assert queue.retry_after_s() == 5


class TestAPace:
    @pytest.mark.parametrize(("items", "told_s"), [(0, 1), (9, 1), (10, 1), (11, 2), (295, 30), (10_000, 30)])
    def test_is_told_in_whole_seconds_within_bounds(self, items: int, told_s: int) -> None:
        """Rounded up, at least one second, and at most as many as a caller has patience for."""
        pace = Pace()
        pace.note(10, 1.0)
        assert pace.retry_after_s(items) == told_s

    def test_follows_what_has_changed(self) -> None:
        """Once ten batches have taken ten times as long, what is told is within a fifth of what it then is, 20 s."""
        pace = Pace()
        for _ in range(100):
            pace.note(500, 0.25)
        assert pace.retry_after_s(3_999) == 2
        for _ in range(10):
            pace.note(500, 2.5)
        assert 16 <= pace.retry_after_s(3_999) <= 20
