"""Which of a client's secrets are taken, and until when."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from billfold_server.identity.clients.client_secret import matches
from billfold_server.identity.clients.rows import Kept

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def secret(number: int) -> bytes:
    """Return the digest of a secret."""
    return bytes([number + 1]) * 32


def rotated(*overlaps_h: int) -> Kept:
    """Return what is kept of a client whose secret is replaced every minute, after the last time."""
    kept = Kept(secret_digest=secret(0))
    for at, hours in enumerate(overlaps_h):
        now = NOW + timedelta(minutes=at)
        kept = kept.replaced(secret(at + 1), now=now, until=now + hours * HOUR)
    return kept


def taken(kept: Kept, now: datetime) -> list[int]:
    """Return which secrets are taken."""
    return [number for number in range(10) if matches(secret(number), kept, now)]


class TestSecretsThatWereReplaced:
    @pytest.mark.parametrize(
        ("overlaps_h", "after_h", "numbers"),
        [
            ((), 0, [0]),
            ((24,), 1, [0, 1]),
            ((24,), 24, [1]),
            ((24, 24), 1, [0, 1, 2]),
            ((24, 1), 0.5, [0, 1, 2]),
            ((24, 1), 2, [2]),
            ((1, 24), 2, [1, 2]),
            ((24, 24, 0), 0.1, [3]),
            ((24,) * 8, 1, [4, 5, 6, 7, 8]),
        ],
    )
    def test_are_taken_for_as_long_as_was_said_last(
        self, overlaps_h: tuple[int, ...], after_h: float, numbers: list[int]
    ):
        """None outlives what it was promised, nor what was said of all when the newest came."""
        assert taken(rotated(*overlaps_h), NOW + after_h * HOUR) == numbers

    def test_are_taken_for_no_longer_where_an_older_process_replaces_the_last(self):
        """It leaves those before the former one as they were, and what is said of all holds for them, too."""
        before = rotated(24, 24)
        kept = msgspec.structs.replace(
            before, secret_digest=secret(3), former_secret_digest=before.secret_digest, former_secret_until=NOW + HOUR
        )
        assert taken(kept, NOW) == [0, 2, 3]
        assert taken(kept, NOW + 2 * HOUR) == [3]

    def test_are_none_of_a_client_that_does_not_exist(self):
        """Nothing is kept of it, and nothing is taken."""
        assert not matches(secret(0), Kept(), NOW)
        assert not matches(secret(1), Kept(), NOW)
