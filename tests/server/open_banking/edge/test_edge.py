"""The edge over HTTP: what every answer has, also where there is nothing to answer."""

import uuid

import httpx
import pytest

from tests.live import LiveServer

UNKNOWN = "/aisp/card-accounts"


def address(live: LiveServer, slug: str, path: str) -> str:
    """Return an address of the interface."""
    return f"{live.base(slug)}/open-banking/v4.0{path}"


class TestAnAnswer:
    def test_repeats_the_interaction_id(self, live: LiveServer, bank: str) -> None:
        """What came comes back, and a UUID is made where nothing came."""
        given = str(uuid.uuid4())
        for headers, expected in (({"x-fapi-interaction-id": given}, given), ({}, None)):
            answer = httpx.get(address(live, bank, UNKNOWN), headers=headers)
            assert answer.status_code == 404
            assert (answer.headers["x-fapi-interaction-id"] == given) is (expected is not None)
            assert uuid.UUID(answer.headers["x-fapi-interaction-id"])

    def test_says_no_other_text_again(self, live: LiveServer, bank: str) -> None:
        """What is no UUID isn't repeated, so that nobody is made to say anything."""
        answer = httpx.get(address(live, bank, UNKNOWN), headers={"x-fapi-interaction-id": "evil"})
        assert uuid.UUID(answer.headers["x-fapi-interaction-id"])

    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
    def test_is_empty_where_there_is_no_endpoint(self, live: LiveServer, bank: str, method: str) -> None:
        """404 has no body, and neither has what is refused at a tenant that there isn't."""
        for slug in (bank, "nosuchbank"):
            answer = httpx.request(method, address(live, slug, UNKNOWN))
            assert (answer.status_code, answer.content) == (404, b"")
            assert "content-type" not in answer.headers
            assert uuid.UUID(answer.headers["x-fapi-interaction-id"])

    def test_is_a_problem_elsewhere(self, live: LiveServer, bank: str) -> None:
        """Nothing of this is so at addresses of our own."""
        answer = httpx.get(f"{live.base(bank)}/v1/nothing")
        assert answer.json()["code"] == "not_found"
        assert "x-fapi-interaction-id" not in answer.headers
