"""What a bank refuses becomes an error with its codes, whatever is in the body."""

import copy

import msgspec
import pytest

from billfold import errors
from billfold.client._message import Response
from billfold.client._retry import is_worth_repeating
from billfold.consents import BankUnsure, Busy, Forbidden, NotAuthenticated, RequestRefused, UnderWay, Unworkable
from billfold.consents.refusals import refusal_of
from billfold_server.open_banking.edge.errors import refusal_of as answer_of

BODY = b"""{"Code": "400", "Errors": [
    {"ErrorCode": "U002", "Message": "not of its form", "Path": "Data.Initiation.InstructedAmount", "Extra": 1},
    {"ErrorCode": "U028"}]}"""


class TestARefusal:
    def test_has_the_codes_and_the_field(self):
        """The first stands for all, and all of them are there."""
        refusal = refusal_of(Response(400, {"x-fapi-interaction-id": "i-1"}, BODY))
        assert isinstance(refusal, RequestRefused)
        assert isinstance(refusal, errors.InvalidRequest)
        assert (refusal.code, refusal.path, refusal.status) == ("U002", "Data.Initiation.InstructedAmount", 400)
        assert (refusal.detail, refusal.interaction_id, refusal.request_id) == ("not of its form", "i-1", "i-1")
        assert [each.error_code for each in refusal.errors] == ["U002", "U028"]
        assert refusal.has("U028")
        assert not refusal.has("U029")

    @pytest.mark.parametrize(
        ("status", "cls", "family"),
        [
            (401, NotAuthenticated, errors.AuthenticationFailed),
            (403, Forbidden, errors.PermissionDenied),
            (404, errors.NotFound, errors.NotFound),
            (405, errors.NotFound, errors.NotFound),
            (406, RequestRefused, errors.InvalidRequest),
            (409, errors.Conflict, errors.Conflict),
            (422, Unworkable, errors.Unprocessable),
            (429, Busy, errors.RateLimited),
            (500, errors.Unavailable, errors.Unavailable),
            (503, errors.Unavailable, errors.Unavailable),
        ],
    )
    def test_is_of_the_family_of_its_status(self, status: int, cls: type, family: type):
        """Without a body, too, it can be told apart."""
        refusal = refusal_of(Response(status, {}, b""))
        assert isinstance(refusal, cls)
        assert isinstance(refusal, family)
        assert (refusal.status, refusal.errors, refusal.path) == (status, (), None)

    @pytest.mark.parametrize(
        "body", [b"<html>", b"[]", b'{"Errors": {}}', b'{"Errors": [1, {}, {"ErrorCode": 7}]}', b"\xff", b"[" * 100_000]
    )
    def test_is_there_whatever_the_body(self, body: bytes):
        """A proxy's page is a refusal without codes."""
        assert refusal_of(Response(400, {}, body)).errors == ()

    def test_is_copied_with_its_codes(self):
        """What a worker hands on is the same elsewhere."""
        refusal = refusal_of(Response(403, {}, BODY))
        again = copy.deepcopy(refusal)
        assert (type(again), again.code, again.errors) == (Forbidden, "U002", refusal.errors)

    @pytest.mark.parametrize(
        ("error", "cls"), [(errors.RequestInFlight(), UnderWay), (errors.OutcomeUnknown(), BankUnsure)], ids=repr
    )
    def test_is_none_where_an_order_may_be_carried_out(self, error: errors.ProblemError, cls: type):
        """The standard has only 400 and 503 for it; Billfold's own name beside tells that it is asked for again."""
        said = answer_of(error, "req_1")
        refusal = refusal_of(Response(said.status, {}, msgspec.json.encode(said.body)))
        assert type(refusal) is cls
        assert refusal.in_doubt
        assert (is_worth_repeating(refusal, repeatable=True), is_worth_repeating(refusal, repeatable=False)) == (
            True,
            False,
        )

    def test_is_repeated_where_that_is_safe(self):
        """Who is busy is asked again; who may not be reached is asked again for what has a key alone."""
        for status, keyed, without in ((429, True, True), (503, True, True), (502, True, False), (400, False, False)):
            refusal = refusal_of(Response(status, {}, b""))
            assert is_worth_repeating(refusal, repeatable=True) is keyed
            assert is_worth_repeating(refusal, repeatable=False) is without
