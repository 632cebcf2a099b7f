"""Clock, events, audit and parties over HTTP, from the first request to what is told of it."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.live import LiveServer
from tests.tenants import manifest

pytestmark = pytest.mark.any_postgres


@pytest.fixture(scope="module")
def client(live: LiveServer) -> Iterator[httpx.Client]:
    """Return a client of a tenant that no other test uses."""
    live.add_tenant(manifest("rooms", rate_limit_per_s=100_000, rate_limit_burst=1_000_000))
    with live.client("rooms") as opened:
        yield opened


@pytest.fixture(scope="module")
def party(client: httpx.Client) -> dict[str, Any]:
    """Create a party."""
    body = {"kind": "person", "name": "Ada Lovelace", "email": "ada@analytical.example", "external_id": "c-1"}
    answer = client.post("/v1/parties", json=body)
    assert answer.status_code == 201
    created: dict[str, Any] = answer.json()
    return created


def instant(text: str) -> datetime:
    """Read an instant of the wire."""
    return datetime.fromisoformat(text)


class TestAParty:
    def test_is_where_its_creation_said(self, client: httpx.Client, party: dict[str, Any]):
        """GET shows what POST answered, with the version as its tag."""
        answer = client.get(f"/v1/parties/{party['id']}")
        assert (answer.status_code, answer.json(), answer.headers["etag"]) == (200, party, '"1"')

    def test_is_changed_only_by_who_has_read_it(self, client: httpx.Client):
        """With the tag of an older version a change is refused with 412."""
        created = client.post("/v1/parties", json={"kind": "company", "name": "Mill"}).json()
        place = f"/v1/parties/{created['id']}"
        first = client.patch(place, json={"name": "Mill & Co"}, headers={"If-Match": '"1"'})
        second = client.patch(place, json={"name": "Mill Ltd"}, headers={"If-Match": '"1"'})
        assert (first.status_code, first.headers["etag"], first.json()["version"]) == (200, '"2"', 2)
        assert (second.status_code, second.json()["code"]) == (412, "precondition_failed")

    def test_is_listed_by_its_filters(self, client: httpx.Client, party: dict[str, Any]):
        """External id, kind and words find it; pages go on with their cursor."""
        found = client.get("/v1/parties", params={"external_id": "c-1", "kind": "person", "q": "love"}).json()
        assert found == {"data": [party], "next_cursor": None}
        for name in ("b", "c"):
            client.post("/v1/parties", json={"kind": "company", "name": name})
        first = client.get("/v1/parties", params={"limit": 1}).json()
        second = client.get("/v1/parties", params={"limit": 1, "cursor": first["next_cursor"]}).json()
        assert [page["data"][0]["name"] for page in (first, second)] == ["c", "b"]

    def test_with_a_taken_external_id_is_refused(self, client: httpx.Client, party: dict[str, Any]):
        """The problem is a 409 that names the field."""
        body = {"kind": "person", "name": "Other", "external_id": party["external_id"]}
        answer = client.post("/v1/parties", json=body)
        assert (answer.status_code, answer.json()["code"], answer.json()["param"]) == (
            409,
            "external_id_taken",
            "external_id",
        )

    @pytest.mark.parametrize(
        "path", ["/v1/parties/par_0000000000000000000000000z", "/v1/parties/wal_1", "/v1/parties/x"]
    )
    def test_that_is_not_there_is_not_found(self, client: httpx.Client, path: str):
        """An unknown id is 404, and a text that is no id isn't more than 400."""
        assert client.get(path).status_code == (404 if path.endswith("z") else 400)


def created(client: httpx.Client) -> list[dict[str, Any]]:
    """Return the events of parties that were created, as many as a page has."""
    found: list[dict[str, Any]] = client.get("/v1/events", params={"type": "party.created", "limit": 100}).json()[
        "data"
    ]
    return found


class TestEvents:
    def test_follow_the_changes(self, client: httpx.Client, party: dict[str, Any]):
        """The background numbers what was committed, and the stream is read on by its numbers."""
        deadline = time.monotonic() + 30
        # Other tests may have created parties at this tenant before.
        while not (told := [event for event in created(client) if event["object_id"] == party["id"]]):
            assert time.monotonic() < deadline
        (first,) = told
        assert "Ada" not in str(first)
        later = client.get("/v1/events", params={"after": first["sequence"]}).json()["data"]
        assert all(event["sequence"] > first["sequence"] for event in later)


class TestTheAuditTrail:
    def test_says_which_client_created_a_party(self, client: httpx.Client, party: dict[str, Any]):
        """Actor, action and request stand in it."""
        (record,) = client.get("/v1/audit-records", params={"object_id": party["id"]}).json()["data"]
        assert (record["action"], record["reason"]) == ("party.created", None)
        assert record["actor"].startswith("cli_")
        assert record["request_id"].startswith("req_")


class TestTheClock:
    def test_is_moved_by_who_may(self, client: httpx.Client):
        """A sandbox's clock stands where it was sent, and a copy of the order gets the same answer."""
        now = instant(client.get("/v1/clock").json()["now"])
        order = {"to": (now + timedelta(days=9)).isoformat(), "freeze": True}
        first, second = (
            client.post("/v1/clock/advance", json=order, headers={"Idempotency-Key": "move"}) for _ in range(2)
        )
        assert (first.status_code, first.content) == (200, second.content)
        assert second.headers["idempotent-replayed"] == "true"
        shown = client.get("/v1/clock").json()
        assert instant(shown["now"]) == now + timedelta(days=9)
        assert (shown["frozen"], shown["controllable"]) == (True, True)
        back = client.post("/v1/clock/advance", json={"to": now.isoformat()})
        assert (back.status_code, back.json()["code"]) == (409, "clock_moves_forward")

    def test_stands_where_it_is(self, client: httpx.Client):
        """So far from where it is when it is moved: who has read a running clock couldn't say to where, being late."""
        order = {"by_s": 0}
        first, second = (
            client.post("/v1/clock/advance", json=order, headers={"Idempotency-Key": "stand"}).json() for _ in range(2)
        )
        assert first == second == client.get("/v1/clock").json()
        later = client.post("/v1/clock/advance", json={"by_s": 90.000001, "freeze": False}).json()
        assert instant(later["now"]) == instant(first["now"]) + timedelta(seconds=90, microseconds=1)
        assert client.get("/v1/clock").json()["now"] > later["now"]

    @pytest.mark.parametrize(
        ("order", "param"),
        [
            ({}, "body"),
            ({"by_s": 60, "to": "2150-01-01T00:00:00Z"}, "body"),
            ({"by_s": -1}, "by_s"),
            ({"by_s": 1e300}, "by_s"),
            ({"by_s": 200 * 366 * 86_400}, "by_s"),
        ],
        ids=str,
    )
    def test_is_moved_in_one_way(self, client: httpx.Client, order: dict[str, Any], param: str):
        """Forward, to an instant or by a while, and not past where it ends."""
        refused = client.post("/v1/clock/advance", json=order)
        assert (refused.status_code, refused.json()["code"]) == (400, "validation_failed")
        assert refused.json()["param"] == param

    @pytest.mark.parametrize(
        "to",
        [
            "2200-01-01T00:00:00Z",
            "2199-12-31T23:00:00-01:00",
            "9999-12-31T00:00:00Z",
            "9999-12-31T23:59:59.999999Z",
        ],
    )
    def test_never_comes_near_the_end_of_time(self, client: httpx.Client, to: str):
        """There it would stand for good, as nothing more could fall due; the order is refused, and it goes on."""
        far = client.post("/v1/clock/advance", json={"to": to})
        assert (far.status_code, far.json()["code"]) == (400, "validation_failed")
        now = instant(client.get("/v1/clock").json()["now"])
        assert client.post("/v1/clock/advance", json={"to": (now + timedelta(seconds=1)).isoformat()}).is_success

    def test_says_how_far_it_goes(self, client: httpx.Client):
        """Who sends it too far is told the limit, under the field's name."""
        problem = client.post("/v1/clock/advance", json={"to": "2200-01-01T00:00:00Z"}).json()
        assert (problem["param"], problem["detail"]) == ("to", "to: must be before 2200-01-01T00:00:00Z")

    def test_gets_as_far_as_that(self, live: LiveServer):
        """Its last second is come to within one request, and everything goes on there."""
        live.add_tenant(manifest("far"))
        last = {"to": "2199-12-31T23:59:59Z"}
        with live.client("far") as client:
            assert client.post("/v1/clock/advance", json=last).json()["now"] == last["to"]
            created = client.post("/v1/parties", json={"kind": "person", "name": "Ada Lovelace"})
            assert created.json()["created_at"] == last["to"]
