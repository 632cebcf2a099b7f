"""Problems: each error as HTTP shows it."""

import msgspec
import pytest

from billfold import errors
from billfold.contract.common import Problem, Violation
from billfold_server.http import problems
from billfold_server.http.reading import validation_failed


class TestEveryError:
    @pytest.mark.parametrize("code", sorted(errors.ERRORS))
    def test_has_a_status_and_makes_a_problem(self, code: str) -> None:
        """Each registered code has a status of refusal, and its problem reads back as the contract's Struct."""
        error = errors.ERRORS[code]("what happened", param="field")
        status = problems.status_of(type(error))
        assert 400 <= status <= 599
        problem = msgspec.json.decode(problems.encode_problem(error, "req_1"), type=Problem)
        assert (problem.code, problem.status, problem.request_id, problem.param) == (code, status, "req_1", "field")
        assert problem.type.endswith(code)
        assert problem.title == type(error).title

    def test_outside_the_families_has_none(self) -> None:
        """An error that belongs to no family isn't given a status by chance."""
        with pytest.raises(LookupError):
            problems.status_of(errors.ProblemError)


class TestAProblem:
    def test_carries_facts_and_violations(self) -> None:
        """What programs need is in the problem: facts by name, and every value that was wrong."""
        problem = problems.problem_of(
            errors.LimitExceeded(limit="transfer_max", limit_minor=5, currency="EUR"), "req_1"
        )
        assert problem.facts == {"limit": "transfer_max", "limit_minor": 5, "currency": "EUR"}
        problem = problems.problem_of(validation_failed("amount.currency", "is required"), "req_1")
        assert problem.violations == [Violation(param="amount.currency", reason="is required")]

    @pytest.mark.parametrize(
        ("error", "headers"),
        [
            (errors.RateLimited(retry_after_s=7), {"Retry-After": "7"}),
            (errors.DatabaseUnavailable(), {"Retry-After": "1"}),
            (errors.MethodNotAllowed(allowed="GET, HEAD"), {"Allow": "GET, HEAD"}),
            (errors.InvalidToken(absent=True), {"WWW-Authenticate": 'Bearer realm="billfold"'}),
            (errors.InvalidToken(), {"WWW-Authenticate": 'Bearer realm="billfold", error="invalid_token"'}),
            (
                errors.InsufficientScope(scope="wallets:read"),
                {"WWW-Authenticate": 'Bearer realm="billfold", error="insufficient_scope", scope="wallets:read"'},
            ),
            (errors.NotFound(), {}),
        ],
    )
    def test_has_the_headers_of_its_kind(self, error: errors.ProblemError, headers: dict[str, str]) -> None:
        """RFC 9110 and RFC 6750 give some refusals a header; a missing token gets no error code."""
        assert problems.problem_headers(error) == headers
