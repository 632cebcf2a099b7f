"""One call, step by step (billfold.client._flow), without network or clock."""

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold import errors
from billfold.client._flow import Timeouts
from billfold.client._message import Hooks, Request, Response
from billfold.client._problems import token_error_of
from billfold.client._retry import RetryBudget, RetryPolicy
from tests.sdk.playing import Outcome, Play, problem, success

LOST = errors.ConnectionFailed("lost")
NEVER_SENT = errors.ConnectionFailed("refused", sent=False)


class TestACall:
    def test_returns_what_its_reader_makes_of_the_answer(self):
        """The body of a success goes through ``read``."""
        assert Play([success(b"[1]")], read=len).answer == 3

    def test_shows_the_access_token_to_the_server_alone(self):
        """The token is in the request that is sent, and not in what a hook sees before and after."""
        seen: list[bool] = []
        hooks = Hooks(
            on_request=lambda request: seen.append("authorization" in request.headers),
            on_response=lambda request, *_: seen.append("authorization" in request.headers),
        )
        assert Play([success()], hooks=hooks).tokens == ["Bearer token-1"]
        assert seen == [False, False]

    def test_without_authorization_asks_for_no_token(self):
        """The token endpoint itself is called without an access token."""
        assert Play([success()], authorized=False).refused == []

    def test_replaces_a_refused_token_once(self):
        """A 401 leads to one new token and one more request, without a wait."""
        play = Play([problem(401, "invalid_token"), success()])
        assert (play.refused, play.waits, play.error) == ([None, "token-1"], [], None)
        assert play.tokens == ["Bearer token-1", "Bearer token-2"]

    def test_gives_up_when_the_new_token_is_refused_too(self):
        """Two refusals in a row are an error, not a loop."""
        play = Play([problem(401, "invalid_token")] * 2)
        assert isinstance(play.error, errors.InvalidToken)
        assert len(play.requests) == 2

    def test_replaces_a_token_even_when_nothing_may_be_repeated(self):
        """A refused token means that the server didn't begin, so a change can be sent again."""
        assert Play([problem(401, "invalid_token"), success()], repeatable=False).error is None

    def test_hands_a_redirect_to_the_caller_as_an_error(self):
        """A redirect isn't followed, since it would carry the token elsewhere."""
        assert isinstance(Play([Response(302, {"location": "http://evil"}, b"")]).error, errors.MalformedAnswer)

    def test_that_is_deprecated_is_told_to_the_log_once(self, caplog: pytest.LogCaptureFixture):
        """Since when, until when and where to read on, once for each operation of a process."""
        headers = {
            "deprecation": "@1767225600",
            "sunset": "Wed, 30 Jun 2027 23:59:59 GMT",
            "link": "<https://b/changes>",
        }
        with caplog.at_level(logging.WARNING, "billfold"):
            for _ in range(2):
                Play([Response(200, headers, b"{}")], template="/v1/deprecated-here")
        (record,) = caplog.records
        assert record.args == ("GET /v1/deprecated-here", *headers.values())

    def test_lets_a_hook_add_headers(self):
        """What a hook adds to a request is sent."""
        play = Play([success()], hooks=Hooks(on_request=lambda request: request.headers.update(traceparent="00-1")))
        assert play.requests[0].headers["traceparent"] == "00-1"

    def test_tells_a_hook_of_every_attempt(self):
        """The hook sees refusals too, with how long they took."""
        seen: list[tuple[int, float]] = []

        def note(_request: Request, response: Response, took_s: float) -> None:
            seen.append((response.status, took_s))

        Play([problem(503, "unavailable"), success()], took_s=0.5, hooks=Hooks(on_response=note))
        assert seen == [(503, 0.5), (200, 0.5)]


class TestARepetition:
    @pytest.mark.parametrize(
        "outcome",
        [
            LOST,
            NEVER_SENT,
            errors.TimedOut("slow"),
            problem(429, "rate_limited"),
            problem(503, "unavailable"),
            problem(503, "outcome_unknown"),
            problem(409, "request_in_flight"),
            Response(502, {}, b"<html>"),
            Response(504, {}, b""),
            Response(524, {}, b"<html>"),
        ],
        ids=repr,
    )
    def test_follows_what_may_pass(self, outcome: Outcome):
        """A question, or an order with a key, is sent again after a trouble that may pass."""
        play = Play([outcome, success()])
        assert (len(play.requests), len(play.waits), play.error) == (2, 1, None)

    @pytest.mark.parametrize(
        "outcome", [NEVER_SENT, problem(429, "rate_limited"), problem(503, "overloaded")], ids=repr
    )
    def test_of_a_change_follows_when_the_server_did_not_begin(self, outcome: Outcome):
        """A change is sent again when it certainly wasn't carried out."""
        assert Play([outcome, success()], repeatable=False).error is None

    @pytest.mark.parametrize(
        "outcome",
        [
            LOST,
            errors.TimedOut("slow"),
            problem(503, "outcome_unknown"),
            Response(502, {}, b""),
            Response(503, {}, b"upstream connect error or disconnect/reset before headers"),
            Response(504, {}, b""),
            Response(500, {}, b"Internal Server Error"),
        ],
        ids=repr,
    )
    def test_of_a_change_never_follows_a_doubt(self, outcome: Outcome):
        """A change that may have been carried out isn't sent again."""
        play = Play([outcome, success()], repeatable=False)
        assert len(play.requests) == 1
        assert play.error is not None

    @pytest.mark.parametrize("status", [400, 403, 404, 409, 412, 413, 415, 422, 500, 501])
    def test_never_follows_a_refusal(self, status: int):
        """What the server refuses for good isn't sent again."""
        play = Play([problem(status, "something_new"), success()])
        assert len(play.requests) == 1

    def test_never_follows_an_answer_that_is_not_understood(self):
        """Something that doesn't speak the contract won't learn it."""
        assert len(Play([errors.MalformedAnswer("what?"), success()]).requests) == 1

    def test_sends_the_same_headers_and_body(self):
        """The idempotency key of the first attempt goes with all others."""
        play = Play([LOST, LOST, success()], method="POST", headers={"idempotency-key": "k"}, body=b"{}")
        assert [(each.headers, each.body) for each in play.requests] == [({"idempotency-key": "k"}, b"{}")] * 3

    def test_waits_as_long_as_it_is_asked_to(self):
        """Retry-After is a lower bound, and jitter goes on top."""
        play = Play([problem(429, "rate_limited", retry_after="7"), success()], chance=0.5)
        assert play.waits == [7.7]

    def test_waits_for_the_longest_line_of_a_ledger_within_its_time(self):
        """A full ledger says 30 s at most: who heeds it has time for an answer, and for no second wait like that."""
        full = problem(503, "overloaded", retry_after="30")
        play = Play([full, success()])
        assert (play.waits, play.error, play.requests[1].total_s) == ([35.0], None, 10.0)
        again = Play([full, full, success()])
        assert (again.waits, type(again.error)) == ([35.0], errors.Overloaded)

    def test_does_not_wait_longer_than_is_reasonable(self):
        """A wish of an hour goes to the caller at once, with the number of seconds."""
        play = Play([problem(429, "rate_limited", retry_after="3600"), success()])
        assert isinstance(play.error, errors.RateLimited)
        assert (play.error.retry_after_s, play.waits) == (3600, [])

    def test_does_not_wait_past_the_end_of_its_time(self):
        """A wait that outlasts the call's time would only delay the bad news."""
        play = Play([problem(503, "unavailable", retry_after="30"), success()], timeouts=Timeouts(total_s=20))
        assert (play.waits, type(play.error)) == ([], errors.Unavailable)

    def test_has_only_the_time_that_is_left(self):
        """Each attempt's limit is what remains of the whole call's."""
        play = Play([LOST, success()], took_s=2.0, timeouts=Timeouts(total_s=10.0))
        assert [each.total_s for each in play.requests] == [10.0, 7.75]

    def test_ends_with_the_last_error(self):
        """The caller gets the last attempt's error when the attempts run out."""
        play = Play([LOST, LOST, problem(503, "unavailable")], policy=RetryPolicy(max_retries=2))
        assert isinstance(play.error, errors.Unavailable)

    @pytest.mark.parametrize(
        "last",
        [
            NEVER_SENT,
            errors.TimedOut("no connection", sent=False),
            problem(401, "invalid_token"),
            problem(403, "tenant_suspended"),
            problem(429, "rate_limited"),
            problem(503, "overloaded"),
            Response(404, {}, b"default backend"),
        ],
        ids=repr,
    )
    @pytest.mark.parametrize(
        "first", [LOST, problem(503, "outcome_unknown"), Response(504, {}, b""), Response(520, {}, b"")], ids=repr
    )
    def test_of_an_order_never_ends_as_if_it_had_not_been_carried_out(self, first: Outcome, last: Outcome):
        """Where an answer was lost, no later attempt that didn't get as far tells that nothing was done."""
        play = Play([first, *[last] * 4], method="POST", headers={"idempotency-key": "k"})
        assert play.error is not None
        assert play.error.in_doubt
        assert play.error.__cause__ is not None
        assert play.error.idempotency_key == "k"

    def test_of_an_order_tells_of_a_doubt_where_no_token_is_to_be_had(self):
        """The access token ends meanwhile, and the server that would give another is away: the order may be done."""
        play = Play([LOST], method="POST", headers={"x-idempotency-key": "k"}, untoken=[None, NEVER_SENT])
        assert (play.error, play.error and play.error.__cause__) == (LOST, NEVER_SENT)
        assert (LOST.sent, LOST.idempotency_key) == (True, "k")

    def test_of_an_order_tells_that_it_was_never_sent_where_no_token_was_to_be_had(self):
        """The token endpoint's answer was lost, or wasn't understood; nothing has become of the order."""
        for untoken in (errors.TimedOut("no answer in time"), errors.MalformedAnswer("<html>")):
            play = Play([], method="POST", headers={"idempotency-key": "k"}, untoken=[untoken])
            assert (play.error, untoken.sent, play.requests) == (untoken, False, [])

    @pytest.mark.parametrize(
        ("status", "error"), [(400, "invalid_scope"), (400, "unauthorized_client"), (404, "x"), (502, "x")]
    )
    def test_of_an_order_says_of_it_nothing_that_was_said_of_a_token(self, status: int, error: str):
        """Who can't be given another token is refused that; the order was given before, or never."""
        refusal = Response(status, {}, f'{{"error":"{error}"}}'.encode())
        order: dict[str, Any] = {"method": "POST", "headers": {"idempotency-key": "k"}}
        lost = Play([LOST], untoken=[None, token_error_of(refusal)], **order).error
        assert (lost, lost and lost.in_doubt) == (LOST, True)
        never = Play([], untoken=[token_error_of(refusal)], **order).error
        assert isinstance(never, errors.ProblemError)
        assert (never.status, never.in_doubt) == (status, False)

    def test_of_an_order_tells_what_settles_it(self):
        """Where the server has looked what it answered under the key, the doubt is over; so it is where none was."""
        order: dict[str, Any] = {"method": "POST", "headers": {"idempotency-key": "k"}}
        settled = Play([LOST, problem(409, "insufficient_funds")], **order).error
        assert (type(settled), settled and settled.idempotency_key) == (errors.InsufficientFunds, "k")
        assert Play([NEVER_SENT] * 4, **order).error is NEVER_SENT
        assert Play([LOST, *[NEVER_SENT] * 3]).error is NEVER_SENT

    def test_is_logged_without_query_or_secret(self, caplog: pytest.LogCaptureFixture):
        """A log line names method and path, never the query, the token or the key."""
        caplog.set_level(logging.DEBUG, "billfold")
        Play([LOST, success()], url="http://h/v1/parties?q=Ada", headers={"idempotency-key": "k-e-y"})
        assert len(caplog.messages) == 2
        assert not any(secret in caplog.text for secret in ("Ada", "token-1", "k-e-y"))


outcomes = st.sampled_from(
    [
        LOST,
        NEVER_SENT,
        errors.TimedOut("slow"),
        problem(429, "rate_limited", retry_after="3"),
        problem(503, "unavailable"),
        problem(409, "request_in_flight"),
        Response(502, {}, b""),
        problem(401, "invalid_token"),
        problem(404, "not_found"),
        success(),
    ]
)


class TestAnySequenceOfTroubles:
    @given(
        outcomes=st.lists(outcomes, max_size=12),
        took_s=st.floats(0, 10),
        chance=st.floats(0, 1, exclude_max=True),
        total_s=st.floats(0.1, 60),
        max_retries=st.integers(0, 8),
        repeatable=st.booleans(),
    )
    def test_ends_in_time_and_within_its_attempts(self, *, outcomes, took_s, chance, total_s, max_retries, repeatable):
        """A call makes no more attempts than it may, and none after its time; it ends in an answer or an error."""
        play = Play(
            [*outcomes, success()],
            took_s=took_s,
            chance=chance,
            policy=RetryPolicy(max_retries=max_retries),
            timeouts=Timeouts(total_s=total_s),
            repeatable=repeatable,
        )
        # One more for a refused token.
        assert len(play.requests) <= max_retries + 2
        assert play.now <= total_s + took_s
        assert (play.error is None) == (play.answer is not None)
        assert all(0 < each.total_s <= total_s for each in play.requests)

    @given(st.lists(st.booleans(), min_size=1, max_size=200), st.integers(0, 30))
    def test_of_calls_spends_no_more_than_the_budget(self, dead, capacity):
        """Over many calls, repetitions are at most what was in store and a tenth of the successes."""
        budget = RetryBudget(capacity)
        repeated = succeeded = 0
        for is_dead in dead:
            play = Play([LOST] * 4 if is_dead else [success()], budget=budget, chance=0.0)
            repeated += len(play.requests) - 1
            succeeded += play.error is None
        assert repeated <= capacity + succeeded * RetryBudget.EARNED_BY_SUCCESS
