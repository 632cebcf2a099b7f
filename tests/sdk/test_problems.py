"""Answers that say no become errors (billfold.client._problems), and errors form one tree (billfold.errors)."""

import copy
import pickle
import re
import traceback
import typing
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold import errors
from billfold._server import MissingExtraError
from billfold.chain.links import BrokenLinkError, InvalidProofError
from billfold.client._message import Response
from billfold.client._problems import as_error, error_of, token_error_of
from billfold.consents.refusals import AnswerNotSigned, PaymentUnfinished, SecurityEventInvalid
from billfold.contract.common import Problem, Violation
from billfold.ids import InvalidIdError, Prefix
from billfold.money import AmountError

STATUSES = {
    400: errors.InvalidRequest,
    401: errors.AuthenticationFailed,
    402: errors.InvalidRequest,
    403: errors.PermissionDenied,
    404: errors.NotFound,
    408: errors.BodyTooSlow,
    409: errors.Conflict,
    412: errors.PreconditionFailed,
    413: errors.BodyTooLarge,
    418: errors.InvalidRequest,
    422: errors.Unprocessable,
    429: errors.RateLimited,
    500: errors.InternalError,
    502: errors.Unavailable,
    503: errors.Unavailable,
    504: errors.Unavailable,
}


def answer(code: str, status: int = 409, **fields: object) -> Response:
    """Return a refusal with a code of any kind."""
    values: dict[str, object] = {
        "type": f"urn:billfold:problem:{code}",
        "title": "A title",
        "status": status,
        "code": code,
        "detail": "A detail",
        "request_id": "req_1",
        **fields,
    }
    return Response(status, {"content-type": "application/problem+json"}, msgspec.json.encode(values))


def refused(response: Response, asked_s: float | None = None) -> errors.ProblemError:
    """Return the error of a refusal."""
    error = error_of(response, asked_s)
    assert isinstance(error, errors.ProblemError)
    return error


class TestAProblem:
    @pytest.mark.parametrize("code", sorted(errors.ERRORS))
    def test_becomes_the_class_of_its_code(self, code: str):
        """Every registered code gives its own class."""
        assert type(refused(answer(code))) is errors.ERRORS[code]

    @pytest.mark.parametrize("code", ["insufficient_funds", "of_tomorrow"])
    def test_within_an_answer_becomes_the_same_error(self, code: str):
        """What one item of a bulk was refused for is what it would have raised alone."""
        alone = refused(answer(code, param="amount", facts={"available_minor": 5}))
        among_others = as_error(
            msgspec.json.decode(answer(code, param="amount", facts={"available_minor": 5}).body, type=Problem)
        )
        assert type(among_others) is type(alone)
        assert (among_others.code, among_others.__dict__) == (alone.code, alone.__dict__)

    def test_carries_all_that_the_server_said(self):
        """Status, request id, parameter, facts and violations are attributes."""
        error = refused(
            answer(
                "insufficient_funds",
                param="amount",
                facts={"account_id": "acc_1", "available_minor": 5},
                violations=[{"param": "amount", "reason": "too much"}],
            )
        )
        assert isinstance(error, errors.InsufficientFunds)
        assert (error.status, error.request_id, error.param, error.detail) == (409, "req_1", "amount", "A detail")
        assert (error.account_id, error.available_minor) == ("acc_1", 5)
        assert [(each.param, each.reason) for each in error.violations] == [("amount", "too much")]
        assert isinstance(error.violations[0], Violation)

    @pytest.mark.parametrize(("status", "family"), STATUSES.items())
    def test_of_an_unknown_code_becomes_the_family_of_its_status(self, status: int, family: type):
        """A newer server's code is caught by the family, and can be read."""
        error = refused(answer("quota_of_tomorrow", status, unknown_field=1))
        assert (type(error), error.code, error.title) == (family, "quota_of_tomorrow", "A title")

    @pytest.mark.parametrize(("status", "family"), STATUSES.items())
    def test_of_a_proxy_becomes_the_family_of_its_status(self, status: int, family: type):
        """A page in HTML still tells what kind of trouble it is, and the request id if there is one."""
        error = refused(Response(status, {"x-request-id": "req_2"}, b"<html>Oops</html>"))
        assert (type(error), error.status, error.request_id) == (family, status, "req_2")

    @pytest.mark.parametrize(("status", "family"), STATUSES.items())
    def test_of_a_proxy_has_every_fact_that_its_class_declares(self, status: int, family: type):
        """A proxy tells no facts. Whoever reads one, or matches by it, isn't met by another error instead."""
        error = refused(Response(status, {}, b"<html>Oops</html>"))
        facts = typing.get_type_hints(family).keys() - typing.get_type_hints(errors.ProblemError).keys()
        assert [getattr(error, name) for name in facts] == [None] * len(facts)

    def test_of_a_proxy_is_matched_as_one_of_the_servers_own(self):
        """A pattern that takes the wait along holds whether or not one was told."""
        waits = []
        for response in (Response(503, {}, b""), answer("overloaded", 503, facts={"retry_after_s": 2})):
            match refused(response):
                case errors.RateLimited(retry_after_s=wait_s) | errors.Unavailable(retry_after_s=wait_s):
                    waits.append(wait_s)
        assert waits == [None, 2]

    def test_has_no_fact_that_nobody_has_declared(self):
        """A misspelt one is an attribute that isn't there, of which whoever checks types is told as well."""
        error = errors.InsufficientFunds(available_minor=5)
        with pytest.raises(AttributeError, match="'InsufficientFunds' object has no attribute 'availabel_minor'"):
            error.availabel_minor  # type: ignore[attr-defined]  # noqa: B018 - that it fails is the point

    @pytest.mark.parametrize(
        ("error", "in_doubt"),
        [
            (errors.ConnectionFailed("lost"), True),
            (errors.ConnectionFailed("never sent", sent=False), False),
            (errors.MalformedAnswer("<html>"), True),
            (refused(answer("outcome_unknown", 503)), True),
            (refused(answer("request_in_flight", 409)), True),
            (refused(answer("internal_error", 500)), True),
            (refused(answer("of_tomorrow", 500)), True),
            (errors.InternalError(), True),
            (refused(Response(500, {}, b"Internal Server Error")), True),
            (refused(Response(502, {}, b"<html>")), True),
            (refused(Response(503, {}, b"upstream connect error")), True),
            (refused(Response(504, {}, b"")), True),
            (refused(Response(520, {}, b"")), True),
            (refused(answer("overloaded", 503)), False),
            (refused(answer("rate_limited", 429)), False),
            (refused(answer("insufficient_funds", 409)), False),
            (refused(answer("approval_required", 409)), False),
            (refused(Response(404, {}, b"default backend")), False),
            (refused(Response(429, {}, b"")), False),
            (errors.BillfoldError(), False),
        ],
    )
    def test_tells_whether_the_order_may_have_been_carried_out(self, error: errors.BillfoldError, in_doubt: bool):  # noqa: FBT001
        """Whoever would give it again under another key knows by one word of every error whether that is safe."""
        assert error.in_doubt is in_doubt

    def test_tells_how_long_to_wait(self):
        """The header becomes a fact where the body doesn't have it."""
        assert refused(answer("rate_limited", 429), 7.0).facts["retry_after_s"] == 7

    def test_survives_pickle_and_copy(self):
        """An error crosses a process boundary with everything that it holds, an unknown code included."""
        error = refused(answer("quota_of_tomorrow", 409, facts={"a": 1}, param="p"))
        for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301  # Our own bytes.
            assert (type(other), vars(other), str(other)) == (type(error), vars(error), str(error))

    @given(st.integers(300, 599), st.binary(max_size=200))
    def test_of_any_bytes_is_an_error_of_ours(self, status, body):
        """Whatever answers, the caller catches a BillfoldError."""
        assert isinstance(error_of(Response(status, {}, body)), errors.BillfoldError)

    def test_is_read_with_every_field_of_the_contract(self):
        """What the contract's Struct can say is read back as it was said."""
        said = Problem(
            type="t",
            title="T",
            status=404,
            code="not_found",
            detail="D",
            request_id="req_3",
            param="p",
            facts={"n": None},
        )
        error = refused(Response(404, {}, msgspec.json.encode(said)))
        assert (error.title, error.param, error.facts) == ("There is no such resource", "p", {"n": None})


class TestARefusalOfTheTokenEndpoint:
    @pytest.mark.parametrize(
        ("status", "name", "family"),
        [
            (401, "invalid_client", errors.AuthenticationFailed),
            (400, "invalid_grant", errors.AuthenticationFailed),
            (400, "unauthorized_client", errors.AuthenticationFailed),
            (400, "invalid_scope", errors.PermissionDenied),
            (429, "slow_down", errors.RateLimited),
            (503, "temporarily_unavailable", errors.Unavailable),
        ],
    )
    def test_keeps_its_name(self, status: int, name: str, family: type):
        """OAuth's own word is a fact, and the class says what kind it is."""
        error = token_error_of(Response(status, {}, msgspec.json.encode({"error": name, "error_description": "D"})))
        assert isinstance(error, errors.ProblemError)
        assert (type(error), error.facts["oauth_error"], error.detail) == (family, name, "D")

    def test_may_be_a_problem(self):
        """What comes from before the token endpoint is worded as everywhere."""
        assert isinstance(token_error_of(answer("unknown_tenant", 404)), errors.UnknownTenant)


class TestTheTree:
    def test_is_drawn_as_it_is(self):
        """Every family in the docstring's drawing is a class there, below the parent that it is drawn under."""
        drawn = re.findall(r"[├└]── (\w+) ", errors.__doc__ or "")
        families = [name for name in drawn if name not in {"TransportError", "ProblemError"}]
        assert [issubclass(getattr(errors, name), errors.ProblemError) for name in families] == [True] * 10
        assert errors.TransportError.__bases__ == errors.ProblemError.__bases__ == (errors.BillfoldError,)
        leaves = {cls.__name__ for cls in errors.TransportError.__subclasses__()}
        assert leaves == {"ConnectionFailed", "TimedOut", "MalformedAnswer"}
        assert all(name in (errors.__doc__ or "") for name in leaves)

    def test_says_whether_a_request_may_have_arrived(self):
        """A lost answer is in doubt unless it is known that nothing was sent; copies keep that."""
        doubtful, certain = errors.ConnectionFailed("x"), errors.TimedOut("x", sent=False)
        assert (doubtful.sent, copy.copy(certain).sent) == (True, False)


class TestAnErrorsName:
    @pytest.mark.parametrize("name", [each for each in errors.__all__ if isinstance(getattr(errors, each), type)])
    def test_is_where_it_is_imported_from(self, name: str):
        """A traceback shows what can be caught, and another process finds it by that."""
        kind = getattr(errors, name)
        assert (kind.__module__, kind.__qualname__) == ("billfold.errors", name)
        assert f"billfold.errors.{name}" in "".join(traceback.format_exception_only(kind("x")))
        error = kind("x")
        again = pickle.loads(pickle.dumps(error))  # noqa: S301  # Our own bytes.
        assert (type(again), vars(again), str(again)) == (kind, vars(error), "x")

    @pytest.mark.parametrize(
        "error",
        [
            AmountError("malformed", "x"),
            MissingExtraError("server", name="litestar"),
            InvalidIdError(Prefix.WALLET),
            BrokenLinkError(3, "hash"),
            InvalidProofError("head", 4, "why"),
            AnswerNotSigned("absent"),
            SecurityEventInvalid("late", err="setData"),
            PaymentUnfinished(SimpleNamespace(data=SimpleNamespace(status="PDNG"))),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_and_all_it_holds_are_the_same_in_another_process(self, error: Exception):
        """One that can't be read back ends a whole pool of processes, with what all others of it were asked."""
        for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301  # Our own bytes.
            assert (type(other), vars(other), str(other)) == (type(error), vars(error), str(error))
