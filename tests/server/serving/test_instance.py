"""One server per data folder, and its workers."""

import os
from pathlib import Path

import pytest

from billfold_server.serving.failures import Exit, Failure
from billfold_server.serving.instance import (
    Running,
    find_running,
    is_last_worker,
    join_workers,
    only_server,
    workers_remain,
)


class TestAPlace:
    def test_is_for_one(self, tmp_path: Path):
        """Whoever comes second is refused, and told where the first one is."""
        with only_server(tmp_path) as place:
            place.announce(Running(os.getpid(), "http://127.0.0.1:8000", 8000))
            with pytest.raises(Failure) as caught, only_server(tmp_path):
                pass
        assert (caught.value.code, caught.value.exit_code) == ("already_running", Exit.TRY_AGAIN)
        assert caught.value.facts["url"] == "http://127.0.0.1:8000"

    def test_is_seen_while_it_is_taken(self, tmp_path: Path):
        """Nobody, somebody who starts, somebody who serves, and nobody again."""
        assert find_running(tmp_path) is None
        with only_server(tmp_path) as place:
            assert find_running(tmp_path) == Running(os.getpid())
            place.announce(Running(os.getpid(), "http://127.0.0.1:8000", 8000))
            assert find_running(tmp_path) == Running(os.getpid(), "http://127.0.0.1:8000", 8000)
        assert find_running(tmp_path) is None


class TestWorkers:
    def test_are_counted_until_the_last_is_gone(self, tmp_path: Path):
        """Of two workers, the second to end finds itself the last."""
        assert not workers_remain(tmp_path)
        first, second = join_workers(tmp_path), join_workers(tmp_path)
        assert workers_remain(tmp_path)
        assert not is_last_worker(first)
        os.close(first)
        assert is_last_worker(second)
        os.close(second)
        assert not workers_remain(tmp_path)
