"""Event subscriptions and polling over HTTP, as a third party uses them."""

import asyncio
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
import uvicorn

from billfold_server.consents import service as consents
from billfold_server.consents.service import NewConsent
from billfold_server.open_banking.events.waiting import Waiting
from billfold_server.serving.worker import Server
from billfold_server.tenancy.clock import tenant_now
from tests.live import LiveServer
from tests.server.consents.consenting import caller_of
from tests.server.identity import clients_of
from tests.server.identity.clients_of import TestClient
from tests.server.open_banking.events.telling import claims_in
from tests.server.open_banking.signing import sign_detached
from tests.tenants import manifest

SLUG = "teller"
IAT, ISS, TAN = (f"http://openbanking.org.uk/{name}" for name in ("iat", "iss", "tan"))


class ThirdParty:
    """A third party with a token."""

    def __init__(self, live: LiveServer, client: TestClient, scope: str = "accounts payments") -> None:
        self.client = client
        base = live.base(SLUG)
        form = {"grant_type": "client_credentials", "scope": scope, **client.form(base)}
        answer = httpx.post(f"{base}/oauth/token", data=form)
        assert answer.status_code == 200, answer.text
        self.http = httpx.Client(
            base_url=f"{base}/open-banking/v4.0",
            headers={"Authorization": f"Bearer {answer.json()['access_token']}"},
            timeout=30,
        )

    def signed(self, method: str, path: str, body: Any) -> httpx.Response:
        """Send a signed body."""
        content = msgspec.json.encode(body)
        claims = {IAT: int(time.time()), ISS: self.client.client_id, TAN: "openbanking.org.uk"}
        signature = sign_detached(content, self.client.key, kid=self.client.kid, claims=claims)  # type: ignore[arg-type]
        headers = {"Content-Type": "application/json", "x-jws-signature": signature}
        return self.http.request(method, path, content=content, headers=headers)

    def subscribe(self, **data: Any) -> httpx.Response:
        """Subscribe."""
        return self.signed("POST", "/event-subscriptions", {"Data": {"Version": "4.0", **data}})

    def poll(self, **body: Any) -> dict[str, Any]:
        """Poll."""
        answer = self.http.post("/events", json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture(scope="module")
def server(live: LiveServer) -> LiveServer:
    """Serve a tenant of whose consents third parties are told."""
    limits = {"rate_limit_per_s": 100_000, "rate_limit_burst": 1_000_000}
    live.add_tenant(manifest(SLUG, open_banking={"long_poll_s": 20}, egress={"loopback": True}, **limits))
    return live


def made(live: LiveServer) -> ThirdParty:
    """Return a third party."""
    return ThirdParty(live, clients_of.make(live, SLUG, alg="PS256", scopes=["accounts", "payments"]))


@pytest.fixture
def tpp(server: LiveServer) -> Iterator[ThirdParty]:
    """Return a third party of a test's own."""
    third_party = made(server)
    yield third_party
    third_party.http.close()


def tell(live: LiveServer, tpp: ThirdParty) -> None:
    """Have a consent of a third party refused, of which it is told by itself."""
    services = live.services

    async def refuse() -> None:
        tenant = await services.registry.get(SLUG)
        client_id = tpp.client.client.id
        new = NewConsent(
            client_id=client_id, kind="account_access", request=b"{}", permissions=frozenset({"ReadBalances"})
        )
        prepared = await consents.prepare(services, tenant, new)
        async with services.database.tx(tenant) as tx:
            now = await tenant_now(tx)
            consent = await consents.create(tx, caller_of(client_id), prepared, now)
            await consents.refuse(tx, consent.id, client_id=client_id, now=now)

    live.run(refuse())


def code_of(answer: httpx.Response) -> tuple[int, str, str]:
    """Return status, code and path of a refusal."""
    (error,) = answer.json()["Errors"]
    return answer.status_code, error["ErrorCode"], error.get("Path", "")


class TestASubscription:
    def test_lives_its_life(self, tpp: ThirdParty):
        """It is made, shown, changed and ended, and its answers are signed."""
        assert tpp.http.get("/event-subscriptions").json()["Data"] == {"EventSubscription": []}
        answer = tpp.subscribe(CallbackUrl="https://tpp.example/ob", EventTypes=["UK.OBIE.Resource-Update"])
        assert answer.status_code == 201, answer.text
        data = answer.json()["Data"]
        assert data == {
            "EventSubscriptionId": data["EventSubscriptionId"],
            "CallbackUrl": "https://tpp.example/ob",
            "Version": "4.0",
            "EventTypes": ["UK.OBIE.Resource-Update"],
        }
        path = f"/event-subscriptions/{data['EventSubscriptionId']}"
        assert answer.json()["Links"]["Self"].endswith(path)
        assert "x-jws-signature" in answer.headers
        assert uuid.UUID(answer.headers["x-fapi-interaction-id"])
        assert tpp.http.get("/event-subscriptions").json()["Data"] == {"EventSubscription": [data]}
        changed = {"EventSubscriptionId": data["EventSubscriptionId"], "Version": "4.0"}
        answer = tpp.signed("PUT", path, {"Data": changed})
        assert (answer.status_code, answer.json()["Data"]) == (200, changed)
        assert tpp.http.delete(path).status_code == 204
        assert code_of(tpp.http.delete(path))[:2] == (400, "U011")
        assert tpp.subscribe().status_code == 201

    def test_is_one_for_each_third_party(self, tpp: ThirdParty):
        """A second one is a conflict, without a body."""
        assert tpp.subscribe().status_code == 201
        answer = tpp.subscribe()
        assert (answer.status_code, answer.content) == (409, b"")

    def test_belongs_to_who_has_made_it(self, server: LiveServer, tpp: ThirdParty):
        """Another third party neither sees, changes nor ends it."""
        data = tpp.subscribe().json()["Data"]
        path, other = f"/event-subscriptions/{data['EventSubscriptionId']}", made(server)
        assert other.http.get("/event-subscriptions").json()["Data"] == {"EventSubscription": []}
        assert other.signed("PUT", path, {"Data": data}).status_code == 403
        assert other.http.delete(path).status_code == 403
        assert tpp.http.get("/event-subscriptions").json()["Data"] == {"EventSubscription": [data]}
        other.http.close()

    @pytest.mark.parametrize(
        ("data", "code", "path"),
        [
            ({"Version": "3.1"}, "U002", "Data.Version"),
            ({"EventTypes": ["resource-update"]}, "U024", "Data.EventTypes"),
            ({"EventTypes": ["UK.OBIE.Resource-Update", "UK.OBIE.Nothing"]}, "U024", "Data.EventTypes"),
            ({"EventTypes": []}, "U002", "Data.EventTypes"),
            ({"CallbackUrl": "http://tpp.example/"}, "U002", "Data.CallbackUrl"),
            ({"CallbackUrl": "https://10.0.0.1/"}, "U002", "Data.CallbackUrl"),
            ({"CallbackUrl": "https://0x7f.1/"}, "U002", "Data.CallbackUrl"),
            ({"CallbackUrl": "https://a:b@tpp.example/"}, "U002", "Data.CallbackUrl"),
        ],
    )
    def test_is_refused_where_it_could_never_be_served(
        self, tpp: ThirdParty, data: dict[str, Any], code: str, path: str
    ):
        """The member that is wrong is blamed, and nothing remains."""
        assert code_of(tpp.subscribe(**data)) == (400, code, path)
        assert tpp.http.get("/event-subscriptions").json()["Data"] == {"EventSubscription": []}

    def test_is_signed_by_its_third_party(self, tpp: ThirdParty):
        """A body that isn't signed, or by somebody else, changes nothing."""
        body = {"Data": {"Version": "4.0"}}
        assert code_of(tpp.http.post("/event-subscriptions", json=body))[:2] == (400, "U019")
        tpp.client = msgspec.structs.replace(tpp.client, key=clients_of.key_for("PS256"))
        assert tpp.subscribe().status_code == 400
        assert tpp.http.get("/event-subscriptions").json()["Data"] == {"EventSubscription": []}


class TestABlockedThirdParty:
    def test_is_told_nothing_from_its_next_request_on(self, server: LiveServer, tpp: ThirdParty):
        """It neither polls nor subscribes, until the bank lets it in again."""
        tpp.subscribe()
        staff = server.client(SLUG)
        answer = staff.post("/v1/blocked-third-parties", json={"client_id": tpp.client.client_id, "reason": "test"})
        assert answer.status_code == 201, answer.text
        assert tpp.http.post("/events", json={}).status_code == 403
        assert tpp.http.get("/event-subscriptions").status_code == 403
        assert tpp.subscribe().status_code == 403
        staff.close()


class TestPolling:
    def test_brings_what_happened_until_it_is_acknowledged(self, server: LiveServer, tpp: ThirdParty):
        """Tokens come again until they are read or refused, in order and as many as are wanted; then never more."""
        assert tpp.poll() == {"moreAvailable": False, "sets": {}}
        tpp.subscribe()
        for _ in range(3):
            tell(server, tpp)
        # What has happened is told by itself, soon after.
        first = tpp.poll(maxEvents=1, returnImmediately=False)
        while len(tpp.poll()["sets"]) < 3:
            time.sleep(0.01)
        found = tpp.poll()
        one, two, three = found["sets"]
        assert (list(first["sets"]), found["moreAvailable"]) == ([one], False)
        assert [claims_in(token)["jti"] for token in found["sets"].values()] == [one, two, three]
        assert tpp.poll(maxEvents=2) == {
            "moreAvailable": True,
            "sets": {jti: found["sets"][jti] for jti in (one, two)},
        }
        fewer = tpp.http.post("/events", json={"maxEvents": -1})
        assert (fewer.status_code, fewer.json()["Errors"][0]["Path"]) == (400, "maxEvents")
        assert tpp.poll(maxEvents=0, ack=[one]) == {"moreAvailable": True, "sets": {}}
        refused = {two: {"err": "invalid_issuer", "description": "the issuer isn't known"}}
        assert list(tpp.poll(setErrs=refused, ack=["unknown", one])["sets"]) == [three]
        assert tpp.poll(ack=[three]) == {"moreAvailable": False, "sets": {}}

    def test_shows_the_bank_what_became_of_it(self, server: LiveServer, tpp: ThirdParty):
        """Staff see to whom and as what, and what a third party has reported, but no token and nothing that hides."""
        tpp.subscribe()
        tell(server, tpp)
        first = next(iter(tpp.poll(returnImmediately=False)["sets"]))
        tell(server, tpp)
        while len(sets := tpp.poll(ack=[first])["sets"]) < 1:
            time.sleep(0.01)
        (second,) = sets
        tpp.poll(setErrs={second: {"err": "invalid_issuer", "description": "not\u202eknown"}})
        tell(server, tpp)
        third = next(iter(tpp.poll(returnImmediately=False)["sets"]))
        with server.client(SLUG, ["consents:read"]) as staff:
            mine = {"client_id": tpp.client.client_id}
            newest = staff.get("/v1/event-notifications", params={**mine, "limit": 1}).json()
            rest = staff.get("/v1/event-notifications", params={**mine, "cursor": newest["next_cursor"]}).json()
            found = [*newest["data"], *rest["data"]]
            assert [each["jti"] for each in found] == [third, second, first]
            assert [each["state"] for each in found] == ["unread", "refused", "acknowledged"]
            assert [each["ended_by"] for each in found] == [None, "poll", "poll"]
            assert [each["error"] for each in found] == [None, "invalid_issuer", None]
            assert found[1]["error_description"] == "not\N{REPLACEMENT CHARACTER}known"
            assert {each["client_id"] for each in found} == {tpp.client.client_id}
            assert all(each["object_id"].startswith("con_") for each in found)
            assert found[1]["event_types"] == ["urn:uk:org:openbanking:events:resource-update"]
            assert sets[second] not in staff.get("/v1/event-notifications", params=mine).text
            refused = staff.get("/v1/event-notifications", params={**mine, "state": "refused"}).json()
            assert refused["data"] == [found[1]]
        other = made(server)
        with server.client(SLUG, ["consents:read"]) as staff:
            none = staff.get("/v1/event-notifications", params={"client_id": other.client.client_id})
            assert none.json()["data"] == []
        other.http.close()
        with server.client(SLUG, ["events:read"]) as stranger:
            assert stranger.get("/v1/event-notifications").status_code == 403

    def test_acknowledges_nothing_of_somebody_elses(self, server: LiveServer, tpp: ThirdParty):
        """Who knows another third party's id of a token can't make it disappear."""
        tpp.subscribe()
        tell(server, tpp)
        sets = tpp.poll(returnImmediately=False)["sets"]
        other = made(server)
        assert other.poll(ack=list(sets))["sets"] == {}
        assert tpp.poll()["sets"] == sets
        other.http.close()

    def test_waits_where_that_is_wanted(self, server: LiveServer, tpp: ThirdParty):
        """An answer that may wait comes with the first event, long before its time is over."""
        tpp.subscribe()
        begun = time.monotonic()
        tell(server, tpp)
        assert len(tpp.poll(returnImmediately=False)["sets"]) == 1
        assert time.monotonic() - begun < 10

    def test_is_answered_at_once_where_the_server_is_to_end(
        self, server: LiveServer, tpp: ThirdParty, monkeypatch: pytest.MonkeyPatch
    ):
        """No stop waits for who waits, or who comes then; they find nothing, and ask again elsewhere."""
        tpp.subscribe()
        waiting = Waiting()
        monkeypatch.setitem(server.services.rooms, "event waiting", waiting)
        ending = Server(uvicorn.Config(server.app), leave=waiting.end)
        begun = time.monotonic()

        async def end() -> None:
            while not waiting._waiting:
                await asyncio.sleep(0.01)
            ending.drain()

        done = server.begin(end())
        assert (tpp.poll(returnImmediately=False)["sets"], done.result(30)) == ({}, None)
        assert (tpp.poll(returnImmediately=False)["sets"], ending.should_exit) == ({}, True)
        assert time.monotonic() - begun < 10

    def test_needs_a_token_of_its_own_kind(self, server: LiveServer):
        """Without a token, and with one for the bank's own API, nobody polls."""
        assert httpx.post(f"{server.base(SLUG)}/open-banking/v4.0/events", json={}).status_code == 401
        own = server.client(SLUG)
        assert own.post("/open-banking/v4.0/events", json={}).status_code in {401, 403}
        own.close()
