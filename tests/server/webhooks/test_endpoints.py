"""Webhook endpoints over HTTP, and what they leave behind."""

import base64
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any

import httpx
import pytest

from billfold.contract.webhooks import MOST_ENDPOINTS
from tests.live import LiveServer

URL = "https://partner.example/webhooks"
PATH = "/v1/webhook-endpoints"
DELIVERIES = "/v1/webhook-deliveries"


@pytest.fixture(scope="module")
def client(live: LiveServer) -> Iterator[httpx.Client]:
    """Return a developer's client."""
    scopes = ["webhooks:read", "webhooks:write", "events:read", "audit:read"]
    with live.client("alpha", scopes) as client:
        yield client


@pytest.fixture
def endpoint(client: httpx.Client) -> Iterator[dict[str, Any]]:
    """Return an endpoint that is told of nothing that happens here."""
    made = client.post(PATH, json={"url": URL, "event_types": ["third_party.*"]}).json()
    yield made
    client.delete(f"{PATH}/{made['id']}")


def events_of(client: httpx.Client, endpoint_id: str) -> list[tuple[str, dict[str, Any]]]:
    """Return what the stream says of an endpoint."""
    found = []
    for what in ("created", "updated", "secret_rotated", "deleted"):
        events = client.get("/v1/events", params={"type": f"webhook_endpoint.{what}", "limit": 100}).json()["data"]
        found += [(each["type"], each["data"]) for each in events if each["object_id"] == endpoint_id]
    return found


class TestAnEndpoint:
    def test_shows_its_secret_once(self, client: httpx.Client, endpoint: dict[str, Any]):
        """The secret has 32 bytes and is in the first answer alone; the public key is read by anybody who may."""
        assert len(base64.b64decode(endpoint["secret"].removeprefix("whsec_"))) == 32
        assert len(base64.b64decode(endpoint["public_key"].removeprefix("whpk_"))) == 32
        shown = client.get(f"{PATH}/{endpoint['id']}").json()
        assert shown == {name: value for name, value in endpoint.items() if name != "secret"}
        assert shown in client.get(PATH, params={"limit": 100}).json()["data"]

    def test_lies_sealed(self, live: LiveServer, endpoint: dict[str, Any]):
        """Nothing of its secret is in the table, in the stream or in the audit."""

        async def written() -> list[bytes]:
            tables = ("webhook_endpoints", "outbox_events", "audit_records")
            async with live.services.database.tx(await live.services.registry.get("alpha")) as tx:
                return [
                    str(await tx.fetch(f"SELECT t::text AS row FROM {table} AS t")).encode()  # noqa: S608
                    for table in tables
                ]

        secret = base64.b64decode(endpoint["secret"].removeprefix("whsec_"))
        searched = live.run(written())
        for form in (secret.hex().encode(), endpoint["secret"].removeprefix("whsec_").encode()):
            assert not any(form in each for each in searched)
        assert endpoint["id"].encode() in searched[1]

    @pytest.mark.parametrize(
        ("url", "reason"),
        [
            ("http://partner.example/hooks", "scheme"),
            ("https://127.0.0.1/hooks", "address"),
            ("https://[::ffff:10.0.0.1]/hooks", "address"),
            ("https://2130706433/hooks", "host"),
            ("https://user@partner.example/hooks", "userinfo"),
        ],
    )
    def test_is_where_everybody_may_look(self, client: httpx.Client, endpoint: dict[str, Any], url: str, reason: str):
        """An address inside, in whatever form, is registered neither at first nor later."""
        for answer in (
            client.post(PATH, json={"url": url}),
            client.patch(f"{PATH}/{endpoint['id']}", json={"url": url}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (422, "webhook_url_refused")
            assert answer.json()["facts"] == {"reason": reason}
            assert ("billfold webhooks listen" in answer.json()["detail"]) is (reason in {"address", "scheme"})

    def test_is_told_what_is_wanted_of_its_address(self, client: httpx.Client):
        """Words say it, not the name of a rule; who has a receiver at hand reads how it hears of events."""
        detail = client.post(PATH, json={"url": "http://partner.example/hooks"}).json()["detail"]
        assert "must begin with https://" in detail
        assert "billfold webhooks listen" in detail

    def test_hears_of_types_that_there_are(self, client: httpx.Client, endpoint: dict[str, Any]):
        """A type that nothing is ever of is refused with its place and what comes nearest, and ``*`` is all."""
        for asked, hint in (
            ("transfer.postd", "transfer.posted"),
            ("walet.*", "wallet.*"),
            ("nonsense.event", "* stands for all"),
        ):
            for answer in (
                client.post(PATH, json={"url": URL, "event_types": ["hold.*", asked]}),
                client.patch(f"{PATH}/{endpoint['id']}", json={"event_types": ["hold.*", asked]}),
            ):
                assert (answer.status_code, answer.json()["param"]) == (422, "event_types[1]")
                assert (answer.json()["code"], hint in answer.json()["detail"]) == ("event_type_unknown", True)
        everything = client.patch(f"{PATH}/{endpoint['id']}", json={"event_types": ["*"]})
        assert (everything.status_code, everything.json()["event_types"]) == (200, None)

    def test_is_told_of_by_types_and_beginnings_of_types(self, client: httpx.Client):
        """The stream narrows as endpoints do, to several types in one order; `*` is all."""
        endpoint_id = client.post(PATH, json={"url": URL}).json()["id"]
        client.delete(f"{PATH}/{endpoint_id}")
        (first, *_) = client.get("/v1/events", params={"object_id": endpoint_id}).json()["data"]

        def asked(types: str, **more: int) -> list[tuple[int, str]]:
            # The tenant's stream is long by what other tests have done before.
            where = {"type": types, "after": first["sequence"] - 1, "limit": 100, **more}
            return [(each["sequence"], each["type"]) for each in client.get("/v1/events", params=where).json()["data"]]

        everything = asked("webhook_endpoint.*")
        assert {name for _, name in everything} >= {"webhook_endpoint.created", "webhook_endpoint.deleted"}
        assert everything == sorted(everything)
        ends = [each for each in everything if each[1] in {"webhook_endpoint.created", "webhook_endpoint.deleted"}]
        assert asked("webhook_endpoint.deleted,webhook_endpoint.created,webhook_endpoint.created") == ends
        assert asked("webhook_endpoint.*", limit=2, after=everything[0][0]) == everything[1:3]
        assert asked("*") == asked("hold.created,*")
        assert {name for _, name in asked("*")} >= {name for _, name in everything}
        assert client.get("/v1/events", params={"type": "transfer.*,"}).status_code == 400

    def test_is_not_told_of_by_types_that_there_are_not(self, client: httpx.Client):
        """Whoever asks the stream for one of them has misspelt it, and is told what comes nearest."""
        for asked, hint in (("transfer.postd", "transfer.posted"), ("hold.*,walet.*", "wallet.*"), ("hold", "hold.*")):
            answer = client.get("/v1/events", params={"type": asked})
            assert (answer.status_code, answer.json()["code"]) == (422, "event_type_unknown")
            assert (answer.json()["param"], hint in answer.json()["detail"]) == ("type", True)

    def test_is_asked_for_behind_places_that_there_are(self, client: httpx.Client, endpoint: dict[str, Any]):
        """Behind the newest comes nothing yet; whoever names a place ahead of it is told where the stream ends."""
        del endpoint
        for filtered in ({}, {"type": "webhook_endpoint.*"}, {"object_id": "whe_0000000000000000000000000000"}):
            ahead = client.get("/v1/events", params={"after": 2**63 - 1, **filtered})
            assert (ahead.status_code, ahead.json()["code"]) == (409, "event_place_ahead")
            newest = ahead.json()["facts"]["newest_sequence"]
            found = client.get("/v1/events", params={"after": newest - 1}).json()["data"]
            assert found[0]["sequence"] == newest
            assert client.get("/v1/events", params={"after": newest + 1_000}).status_code == 409
        assert client.get("/v1/events", params={"after": newest}).status_code == 200

    def test_is_told_of_by_its_id(self, client: httpx.Client, endpoint: dict[str, Any]):
        """The stream narrows to one object, page by page; one that there isn't has no events."""
        client.patch(f"{PATH}/{endpoint['id']}", json={"description": "another"})
        wanted = {"object_id": endpoint["id"], "limit": 1}
        page = client.get("/v1/events", params=wanted).json()
        further = client.get("/v1/events", params={**wanted, "cursor": page["next_cursor"]}).json()
        happened = [*page["data"], *further["data"]]
        assert [each["type"] for each in happened] == ["webhook_endpoint.created", "webhook_endpoint.updated"]
        assert {each["object_id"] for each in happened} == {endpoint["id"]}
        updated = client.get("/v1/events", params={"object_id": endpoint["id"], "type": "webhook_endpoint.updated"})
        assert updated.json()["data"] == happened[1:]
        assert client.get("/v1/events", params={"object_id": "whe_nobody"}).json()["data"] == []

    def test_is_changed_by_who_has_read_it(self, client: httpx.Client, endpoint: dict[str, Any]):
        """What is absent stays, null clears, an old version is refused, and nothing new leaves no trace."""
        path = f"{PATH}/{endpoint['id']}"
        changed = client.patch(path, json={"description": "shop", "state": "paused"}, headers={"If-Match": '"1"'})
        assert (changed.headers["etag"], changed.json()["state_reason"]) == ('"2"', "requested")
        assert client.patch(path, json={"state": "enabled"}, headers={"If-Match": '"1"'}).status_code == 412
        again = client.patch(path, json={"state": "paused", "description": "shop"})
        assert again.json() == changed.json()
        body = {"state": "enabled", "description": None, "event_types": ["hold.*", "hold.*"]}
        last = client.patch(path, json=body).json()
        assert (last["state_reason"], last["description"], last["event_types"]) == (None, None, ["hold.*"])
        said = events_of(client, endpoint["id"])
        assert [name for name, _ in said] == ["webhook_endpoint.created", *["webhook_endpoint.updated"] * 2]
        assert [data["state"] for _, data in said] == ["enabled", "paused", "enabled"]
        assert not any("partner.example" in str(data) for _, data in said)

    def test_has_both_secrets_for_a_while(self, client: httpx.Client, endpoint: dict[str, Any]):
        """After a rotation the former public key is shown until the time that was asked for, and no longer."""
        path = f"{PATH}/{endpoint['id']}"
        rotated = client.post(f"{path}/rotate-secret", json={"overlap_s": 600}).json()
        shown = client.get(path).json()
        assert rotated["secret"] != endpoint["secret"]
        assert (shown["public_key"], shown["former_public_key"]) == (rotated["public_key"], endpoint["public_key"])
        assert shown["former_secret_until"] == rotated["former_secret_until"]
        client.post(f"{path}/rotate-secret", json={"overlap_s": 0})
        shown = client.get(path).json()
        assert (shown["former_public_key"], shown["former_secret_until"], shown["version"]) == (None, None, 3)

    def test_is_gone_once_it_is_deleted(self, client: httpx.Client, endpoint: dict[str, Any]):
        """Nobody finds it any more, and the audit says who has deleted it."""
        path = f"{PATH}/{endpoint['id']}"
        assert client.delete(path).status_code == 204
        answers = (client.get(path), client.delete(path), client.post(f"{path}/rotate-secret", json={}))
        assert [each.status_code for each in answers] == [404] * 3
        records = client.get("/v1/audit-records", params={"object_id": endpoint["id"]}).json()["data"]
        assert [each["action"] for each in records] == ["webhook_endpoint.deleted", "webhook_endpoint.created"]

    def test_is_one_of_a_few(self, client: httpx.Client):
        """A tenant has at most twenty; the one that is too many leaves nothing behind."""

        def own() -> int:
            listed = client.get(PATH, params={"limit": 100}).json()["data"]
            return sum(each["partner_id"] is None for each in listed)

        before = own()
        answers = [client.post(PATH, json={"url": URL}) for _ in range(MOST_ENDPOINTS - before + 1)]
        assert [each.status_code for each in answers] == [201] * (MOST_ENDPOINTS - before) + [409]
        assert answers[-1].json()["facts"] == {"limit": MOST_ENDPOINTS}
        for each in answers[:-1]:
            client.delete(f"{PATH}/{each.json()['id']}")
        assert own() == before


class TestADelivery:
    def test_is_in_the_log_with_why_it_failed_and_is_made_again_when_asked_for(
        self, live: LiveServer, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ):
        """A name that leads to this machine is let pass at first, and refused by its number when it is called."""
        outbound = live.services.rooms["outbound"]
        monkeypatch.setattr(outbound, "_resolve", lambda *_: [IPv4Address("127.0.0.1")])
        # Of the other tests' name a lookup may be under way, which all share who want to know of it.
        url = "https://here.example/webhooks"
        body = {"url": url, "event_types": ["webhook_endpoint.updated"]}
        endpoint = client.post(PATH, json=body).json()
        client.patch(f"{PATH}/{endpoint['id']}", json={"description": "here"})

        def tried() -> dict[str, Any]:
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                query = {"webhook_endpoint_id": endpoint["id"], "state": "waiting"}
                for each in client.get(DELIVERIES, params=query).json()["data"]:
                    if each["attempts"]:
                        found: dict[str, Any] = each
                        return found
                time.sleep(0.01)
            raise AssertionError

        delivery = tried()
        record = client.get(f"{DELIVERIES}/{delivery['id']}").json()
        assert (delivery["last_result"], record["event"]["object_id"]) == ("refused", endpoint["id"])
        (attempt,) = record["last_attempts"]
        assert (attempt["response"], attempt["request"]["url"]) == (None, url)
        again = client.post(f"{DELIVERIES}/{delivery['id']}/replay").json()
        assert (again["event_id"], again["attempts"], tried()["attempts"]) == (delivery["event_id"], 0, 1)
        done = client.post(f"{PATH}/{endpoint['id']}/replay", json={"after": record["sequence"] - 1}).json()
        assert done == {"webhook_endpoint_id": endpoint["id"], "replayed": 1, "next_after": None}
        here = record["sequence"]
        nothing = client.post(f"{PATH}/{endpoint['id']}/replay", json={"after": here, "up_to": here}).json()
        assert (nothing["replayed"], nothing["next_after"]) == (0, None)
        backwards = client.post(f"{PATH}/{endpoint['id']}/replay", json={"after": 7, "up_to": 6})
        assert (backwards.status_code, backwards.json()["code"]) == (422, "event_range_invalid")
        assert backwards.json()["param"] == "up_to"
        tried()
        client.delete(f"{PATH}/{endpoint['id']}")
        assert client.get(f"{DELIVERIES}/{delivery['id']}").json()["state"] == "cancelled"
        assert client.post(f"{DELIVERIES}/{delivery['id']}/replay").json()["code"] == "webhook_endpoint_deleted"


class TestAnotherClient:
    def test_needs_the_scopes(self, live: LiveServer):
        """Who may read events may neither see nor register where they go."""
        with live.client("alpha", ["events:read"]) as client:
            answers = (client.get(PATH), client.post(PATH, json={"url": URL}))
        assert [each.status_code for each in answers] == [403, 403]
