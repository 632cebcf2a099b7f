"""Not asking in vain (keys/backends/vault/breaker.py)."""

from billfold_server.keys.backends.vault.breaker import Breaker


class Clock:
    """A clock that a test sets."""

    now_s = 100.0

    def __call__(self) -> float:
        """Return what it is set to."""
        return self.now_s


def opened(clock: Clock) -> Breaker:
    """Return a breaker that has just opened."""
    breaker = Breaker(failures=2, pause_s=3.0, clock=clock)
    for _ in range(2):
        assert breaker.admits()
        breaker.failed("slow")
    return breaker


class TestABreaker:
    def test_admits_all_until_enough_have_failed_in_a_row(self) -> None:
        """One that succeeds makes those before it forgotten."""
        breaker = Breaker(failures=2, clock=Clock())
        for _ in range(5):
            breaker.failed("slow")
            assert breaker.admits()
            assert breaker.admits()
            breaker.succeeded()
        breaker.failed("slow")
        breaker.failed("sealed")
        assert (breaker.admits(), breaker.is_open, breaker.cause) == (False, True, "sealed")

    def test_says_when_to_come_again(self) -> None:
        """In whole seconds, and never at once."""
        clock = Clock()
        breaker = opened(clock)
        assert breaker.retry_after_s == 3
        clock.now_s += 2.5
        assert breaker.retry_after_s == 1
        clock.now_s += 60
        assert breaker.retry_after_s == 1

    def test_lets_one_try_after_a_pause(self) -> None:
        """If that fails, the pause begins anew; if it succeeds, all are admitted."""
        clock = Clock()
        breaker = opened(clock)
        assert not breaker.admits()
        clock.now_s += 3
        assert [breaker.admits() for _ in range(3)] == [True, False, False]
        breaker.failed("slow")
        assert not breaker.admits()
        clock.now_s += 3
        assert breaker.admits()
        breaker.succeeded()
        assert [breaker.admits() for _ in range(3)] == [True, True, True]
        assert breaker.cause is None

    def test_lets_another_try_where_the_first_has_gone(self) -> None:
        """Who gave up says neither good nor bad of Vault."""
        clock = Clock()
        breaker = opened(clock)
        clock.now_s += 3
        assert breaker.admits()
        breaker.gave_up()
        assert breaker.is_open
        assert breaker.admits()
