"""Lines: who gets places in a worker, and who waits for them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from billfold_server.http.shares import Lines, Place, Rules

TIGHT = Rules(most=4, least=2, together=8, company_s=1.0, lease_s=0.5, patience_s=3.0)


def body_of(size: int) -> list[tuple[bytes, bytes]]:
    """Return the headers of a request that takes so many places."""
    return [(b"content-length", str((size - 1) * 8192).encode())]


def ask(lines: Lines, name: str, times: int, now: float = 0.0, size: int = 1) -> list[Place]:
    """Ask for places of one tenant, and return those that it needs."""
    return [place for _ in range(times) if (place := lines.ask(name, body_of(size), now)) is not None]


def held(places: list[Place]) -> int:
    """Return how many of them are held."""
    return sum(each.held for each in places)


class TestATenant:
    def test_that_is_alone_needs_no_places(self) -> None:
        """Nobody is slowed down by it, so nothing waits, until somebody else asks."""
        lines = Lines(TIGHT)
        assert ask(lines, "alpha", 1000) == []
        assert len(ask(lines, "beta", 1)) == 1
        assert [each.held for each in ask(lines, "alpha", 6)] == [True] * 4 + [False] * 2
        assert ask(lines, "alpha", 1, now=1.1)[0].waits
        lines.look(1.1)
        assert ask(lines, "alpha", 1000, now=1.2) == []

    def test_has_a_few_places_beside_others_and_gets_new_ones_as_it_gives_back(self) -> None:
        """Its requests keep their order, and those of the others don't wait for any of them."""
        lines = Lines(TIGHT)
        ask(lines, "beta", 1)
        flood = ask(lines, "alpha", 10)
        assert [each.held for each in flood] == [True] * 4 + [False] * 6
        assert held(ask(lines, "beta", 1)) == 1
        assert lines.leave(flood[0], 0.1) == [flood[4]]
        assert lines.leave(flood[4], 0.1) == [flood[5]]
        assert lines.waiting == 4

    def test_gives_way_to_who_asks_now_and_then(self) -> None:
        """Beside somebody else's request after a pause it has half of its places for a while."""
        lines = Lines(TIGHT._replace(beside=2, calm_s=0.2, pause_s=0.1))
        ask(lines, "beta", 1)
        flood = ask(lines, "alpha", 10)
        assert held(flood) == 4, "its own first request is no reason to give way"
        assert held(ask(lines, "gamma", 1, 0.35)) == 1
        assert [lines.leave(each, 0.36) for each in flood[:3]] == [[], [], [flood[4]]]
        lines.look(0.6)
        assert held(flood) == 4

    def test_gives_no_way_to_a_flood_nor_to_strangers(self) -> None:
        """Who comes again at once, or names no tenant, isn't somebody who asks now and then."""
        lines = Lines(TIGHT._replace(beside=2, calm_s=0.2, pause_s=0.1))
        ask(lines, "gamma", 1)
        ask(lines, "beta", 1)
        ask(lines, "beta", 1, 0.25)
        for now in (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6):
            ask(lines, "beta", 1, now)
            ask(lines, "/", 1, now)
        assert held(ask(lines, "alpha", 10, 0.6)) == 4

    def test_is_alone_beside_strangers_who_have_their_places_beside_it(self) -> None:
        """What names no tenant slows nobody down, and can't flood beside one who asks."""
        lines = Lines(TIGHT)
        assert ask(lines, "/", 100) == [], "nobody asks but they"
        assert ask(lines, "alpha", 100, 0.1) == []
        assert held(ask(lines, "/", 10, 0.2)) == 4
        assert held(ask(lines, "alpha", 100, 0.3)) == 100, "theirs wait, so places are counted"
        assert lines.look(5.0)
        assert ask(lines, "/", 1, 5.0) == []

    def test_keeps_room_for_small_requests_also_while_it_gives_way(self) -> None:
        """A large one takes half of what there is."""
        lines = Lines(TIGHT._replace(beside=2, calm_s=10.0))
        ask(lines, "beta", 1)
        ask(lines, "gamma", 1)
        large, small = ask(lines, "alpha", 1, size=4), ask(lines, "alpha", 1)
        assert (large[0].size, held(large), held(small)) == (1, 1, 1)

    def test_has_fewer_the_more_of_them_want_more_than_they_have_but_always_the_least(self) -> None:
        """With two in line each has four of eight; with eight it would be one, and is two."""
        for tenants, expected in ((2, 4), (3, 2), (8, 2)):
            lines = Lines(TIGHT)
            ask(lines, "another", 1)
            flood = [ask(lines, str(number), 10) for number in range(tenants)]
            for places in flood:
                for place in [each for each in places if each.held]:
                    lines.leave(place, 0.1)
            assert [held(places) for places in flood] == [expected] * tenants

    def test_loses_a_place_that_it_keeps_for_too_long(self) -> None:
        """Whatever it waits for, others of it go on; giving such a place back later changes nothing."""
        lines = Lines(TIGHT)
        ask(lines, "beta", 1)
        slow = ask(lines, "alpha", 4)
        waiting = ask(lines, "alpha", 2)
        assert lines.look(0.4) == []
        assert lines.look(0.6) == waiting
        for place in slow:
            assert lines.leave(place, 0.7) == []
        assert held(ask(lines, "alpha", 4, 0.7)) == 2

    def test_is_told_when_it_waits_too_long(self) -> None:
        """A request that is told so holds no place, and how long it has waited is known."""
        lines = Lines(TIGHT._replace(lease_s=60.0, company_s=60.0))
        ask(lines, "beta", 1)
        ask(lines, "alpha", 4)
        first, second = ask(lines, "alpha", 2)
        second.since = 1.0
        assert lines.look(2.9) == []
        assert lines.look(3.1) == [first]
        assert (first.is_late, first.held, first.waited_s) == (True, False, 3.1)
        assert (second.is_late, second.waits) == (False, True)

    def test_has_all_places_again_once_the_others_have_gone(self) -> None:
        """After a second without anybody else it is alone."""
        lines = Lines(TIGHT)
        ask(lines, "beta", 1)
        flood = ask(lines, "alpha", 10)
        lines.look(0.9)
        assert lines.waiting == 2
        assert len(lines.leave(flood[4], 1.1)) == 2

    def test_pays_for_large_requests_with_more_places(self) -> None:
        """Half of them at most, so that the same tenant's small requests go on; and it keeps them for longer."""
        lines = Lines(TIGHT)
        ask(lines, "beta", 1)
        large = ask(lines, "alpha", 3, size=50)
        small = ask(lines, "alpha", 1)
        assert [each.held for each in (*large, *small)] == [True, True, False, False]
        assert lines.leave(large[0], 0.1) == [large[2]]
        assert lines.look(0.9) == []
        assert lines.leave(large[1], 0.9) == small

    def test_loses_each_place_in_its_own_time(self) -> None:
        """Whoever keeps several for longer keeps them for nobody else."""
        lines = Lines(TIGHT)
        ask(lines, "beta", 1)
        ask(lines, "alpha", 1, size=2)
        ask(lines, "alpha", 2)
        assert lines.look(0.6) == []
        assert [each.held for each in ask(lines, "alpha", 3, 0.6)] == [True, True, False]

    def test_that_asks_no_more_is_forgotten(self) -> None:
        """However many there were."""
        lines = Lines(TIGHT)
        for number in range(20_000):
            for place in ask(lines, str(number), 1, now=float(number)):
                lines.leave(place, float(number))
        assert 1000 < len(lines._lines) <= 4096


ACTION = st.tuples(
    st.sampled_from(["ask", "leave", "go", "wait"]), st.integers(0, 3), st.integers(1, 6), st.floats(0, 0.4)
)


def check(lines: Lines, asked: Mapping[int, Sequence[Place]]) -> None:
    """See that what is counted is what there is."""
    for line in lines._lines.values():
        assert line.held == sum(each.size for each in line.holding if each.held)
    assert lines.waiting == sum(each.waits for places in asked.values() for each in places)


class TestPlaces:
    @given(st.lists(ACTION, max_size=120))
    def test_are_neither_lost_nor_doubled_whatever_happens(self, actions: list[tuple[str, int, int, float]]) -> None:
        """Each tenant's requests begin in order, each once; in the end all have begun, were late, or are withdrawn."""
        lines, now = Lines(TIGHT), 0.0
        asked: dict[int, list[Place]] = defaultdict(list)
        begun: dict[int, list[Place]] = defaultdict(list)
        gone: set[int] = set()

        def note(places: list[Place], *, alone: bool = True) -> None:
            for each in places:
                begun[int(each.line.name)].append(each)
                holders = [each for each in each.line.holding if each.held]
                assert alone or each.is_late or len(holders) == 1 or each.line.held <= TIGHT.most

        for action, tenant, number, pause_s in actions:
            now += pause_s
            alone = lines.is_alone(now)
            mine = [each for each in asked[tenant] if id(each) not in gone]
            if action == "ask":
                for place in ask(lines, str(tenant), 1, now, size=number):
                    asked[tenant].append(place)
                    note([] if place.waits else [place], alone=alone or lines.is_alone(now))
            elif action == "wait":
                note(lines.look(now), alone=alone)
            else:
                wanted = [each for each in mine if each.waits == (action == "go")]
                if wanted:
                    gone.add(id(wanted[number % len(wanted)]))
                    note(lines.leave(wanted[number % len(wanted)], now), alone=alone)
            check(lines, asked)
        while lines.waiting:
            now += 0.3
            note(lines.look(now))
            assert now < 1000, "somebody waits for ever"
        for tenant, places in asked.items():
            withdrawn = [each for each in places if id(each) in gone and each not in begun[tenant]]
            assert begun[tenant] == [each for each in places if each not in withdrawn]
