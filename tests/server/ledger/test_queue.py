"""How the line of a tenant's commands is cut into batches."""

import pytest

from billfold_server.ledger.queue import Item, Queue, Run, Ticket
from billfold_server.wallets.service import TOP_UP
from tests.server.ledger.books import CALLER, Bench


def lined_up(bench: Bench, commands: int) -> Queue:
    """Return a line in which that many commands wait."""
    queue = Queue(bench.tenant)
    ticket = Ticket(queue, commands)
    queue.add(bench.tenant, [Item((TOP_UP, None, None), CALLER, ticket, place) for place in range(commands)])
    return queue


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
