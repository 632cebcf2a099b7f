"""Versions of the contract: which one answers, and how programs are told that an operation will end."""

import dataclasses
from collections.abc import Iterator
from datetime import UTC, date, datetime

import httpx
import pytest

from billfold.contract.versions import HEADER, LATEST, VERSIONS, pinned
from billfold_server.http import openapi
from billfold_server.http.context import RequestContext
from billfold_server.http.health import routes as health_routes
from billfold_server.http.pipeline import Pipeline
from billfold_server.http.routing import Operation, Routes
from billfold_server.http.versions import Deprecation
from tests.live import LiveServer

SINCE = datetime(2026, 12, 1, tzinfo=UTC)
ENDING = Deprecation(since=SINCE, sunset=datetime(2027, 12, 1, 12, tzinfo=UTC), link="https://bank.example/changes")
SAID = {
    "Deprecation": "@1796083200",
    "Sunset": "Wed, 01 Dec 2027 12:00:00 GMT",
    "Link": '<https://bank.example/changes>; rel="deprecation"; type="text/html"',
}


@pytest.fixture(scope="module")
def client(live: LiveServer) -> Iterator[httpx.Client]:
    """Return a client of a tenant."""
    with live.client("alpha") as client:
        yield client


def deprecated() -> Operation:
    """Return an operation that will end."""
    found = next(each for each in health_routes.operations if each.path == "/health/live")
    return dataclasses.replace(found, deprecated=ENDING)


class TestAClient:
    def test_keeps_the_version_that_was_the_newest_when_it_was_registered(self):
        """What is older than every version has the first, and a day has its own version already."""
        assert pinned(date(2020, 1, 1)) == VERSIONS[0]
        assert [pinned(date.fromisoformat(each)) for each in VERSIONS] == list(VERSIONS)
        assert pinned(date(9999, 1, 1)) == LATEST

    def test_is_told_by_which_version_it_is_answered(self, client: httpx.Client):
        """Each answer says it, refusals included, and so does one that was asked for by the header."""
        assert client.get("/v1/clock").headers[HEADER] == LATEST
        assert client.get("/v1/clock", headers={HEADER: VERSIONS[0]}).headers[HEADER] == VERSIONS[0]
        refused = client.get("/v1/wallets/wal_01m7w9tnzcejq9b78b81gh4nmw")
        assert (refused.status_code, refused.headers[HEADER]) == (404, LATEST)

    @pytest.mark.parametrize("version", ["2020-01-01", "latest", "", "2026-11-20, 2026-11-20"])
    def test_is_refused_a_version_that_is_not_there(self, version: str, client: httpx.Client):
        """The refusal names the header and the newest version."""
        refused = client.get("/v1/clock", headers={HEADER: version})
        assert refused.status_code == 400
        said = refused.json()
        assert (said["code"], said["param"], said["facts"]) == ("api_version_unknown", HEADER, {"latest": LATEST})

    def test_is_told_nothing_of_versions_by_what_has_none(self, client: httpx.Client, live: LiveServer):
        """The interfaces of standards have versions of their own, and health has none."""
        assert HEADER not in httpx.get(f"{live.url}/health/live").headers
        assert HEADER not in client.get("/.well-known/jwks.json").headers


class TestTheVersions:
    def test_are_dates_in_their_order(self):
        """The oldest is the first, and no date is there twice."""
        assert [date.fromisoformat(each).isoformat() for each in VERSIONS] == sorted(set(VERSIONS))


class TestADeprecatedOperation:
    async def test_says_so_with_each_answer(self, live: LiveServer):
        """``Deprecation`` is a date of structured fields, ``Sunset`` one of HTTP."""
        context = RequestContext(request_id="req_1", path="/health/live", receiving=None)  # type: ignore[arg-type]
        answer = await Pipeline(deprecated(), live.services).run(context, {}, b"")
        assert answer is not None
        assert {name.decode().title(): value.decode() for name, value in context.about} == SAID

    def test_says_so_in_the_document(self):
        """The document marks it, and lists the headers."""
        room = Routes(tag="Health", description="Health.", audience="host")
        room.operations = [deprecated()]
        written = openapi.build_document([room], audiences=["host"])["paths"]["/health/live"]["get"]
        assert written["deprecated"] is True
        assert SAID.keys() <= written["responses"]["200"]["headers"].keys()

    def test_is_deprecated_before_it_ends(self):
        """A sunset before the deprecation is a mistake, and so is a time that depends on where it is read."""
        with pytest.raises(TypeError):
            Deprecation(since=SINCE, sunset=datetime(2026, 11, 30, tzinfo=UTC))
        with pytest.raises(TypeError):
            Deprecation(since=datetime(2026, 12, 1))  # noqa: DTZ001 - That is the mistake.
        assert Deprecation(since=SINCE).headers == {"Deprecation": SAID["Deprecation"]}
