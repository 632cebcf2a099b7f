"""Whether anybody answers, while a clock waits for what is due."""

from datetime import UTC, datetime, timedelta

import pytest

from billfold_server.outbound.reach import Reach
from billfold_server.outbound.service import Answer, Cause, Failure


class TestAnEndpointWhereNobodyIs:
    @pytest.mark.parametrize("cause", ["unresolved", "unconnected", "timeout"])
    def test_is_known_by_what_came_of_asking(self, cause: Cause):
        """At one instant, until somebody answers there; a failure of another kind says nothing of other attempts."""
        reach, failure = Reach(), Failure(cause=cause, took_s=5.0)
        now, url = datetime(2026, 11, 21, tzinfo=UTC), "https://partner.example/billfold"

        def known() -> Failure | None:
            return reach.failure

        reach.stand(None, url)
        reach.learn(failure)
        assert known() is None, "time passes"
        reach.stand(now, url)
        reach.learn(Failure(cause="broken", took_s=5.0))
        reach.learn(Failure(cause="error", took_s=0.0))
        assert known() is None, "somebody is there"
        if cause == "timeout":
            for _ in range(3):
                reach.learn(failure)
            assert known() is None, "somebody may be slow"
        reach.learn(failure)
        reach.stand(now, url)
        assert known() == Failure(cause=cause, took_s=0.0)
        reach.stand(now + timedelta(seconds=1), url)
        assert known() is None, "it is asked anew"
        reach.learn(Answer(status=500, headers={}, body=b"", whole=True, took_s=0.1))
        reach.learn(failure)
        assert known() is None, "somebody has answered"
