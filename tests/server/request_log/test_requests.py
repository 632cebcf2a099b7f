"""The log of requests over HTTP: what is in it, who sees it, and what it leaves out."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from billfold import ids
from billfold.contract.requests import WITHHELD
from billfold.ids import Prefix
from billfold_server.request_log import service
from billfold_server.tenancy.context import Caller
from tests.live import LiveServer

PATH = "/v1/requests"
CANARY = "Zoë Canary 17"
CARD = "4111111111111111"
KEY = {"Idempotency-Key": "Canary-17", "Content-Type": "application/json"}
SCOPES = ["requests:read", "parties:read", "parties:write", "wallets:read", "wallets:write", "transfers:write"]


@pytest.fixture(scope="module")
def client(live: LiveServer) -> Iterator[httpx.Client]:
    """Return a program's client."""
    with live.client("alpha", SCOPES) as client:
        yield client


@pytest.fixture(scope="module")
def said(client: httpx.Client) -> list[httpx.Response]:
    """Say what nobody else may read in every way that there is, and return the answers."""
    with httpx.Client(base_url=client.base_url) as stranger:
        return [
            client.post("/v1/parties", json={"kind": "person", "name": CANARY, "metadata": {"note": CANARY}}),
            client.post("/v1/parties", json={"kind": CANARY, "name": [CANARY], CANARY: CANARY, "pan": CARD}),
            client.post("/v1/transfers", json={"amount": {"amount_minor": int(CARD), "currency": CANARY}}, headers=KEY),
            client.post("/v1/transfers", content=f'{{"description": "{CANARY}'.encode(), headers=KEY),
            client.post("/v1/transfers", json={}, headers={"Idempotency-Key": CARD, "X-Who": "Canary", "Accept": CARD}),
            client.get("/v1/parties", params={"q": CANARY, "external_id": CARD}),
            client.get("/v1/parties", params={CANARY: CANARY}),
            client.get(f"/v1/wallets/{CANARY}"),
            client.get(f"/v1/{CANARY}/{CARD}"),
            stranger.get("/v1/wallets", headers={"Authorization": f"Bearer {CARD}"}),
            stranger.post("/oauth/token", data={"client_id": "Canary", "client_secret": CARD, "grant_type": "x"}),
        ]


def id_of(answer: httpx.Response) -> str:
    """Return the id under which an answer's request is known."""
    return answer.headers["x-request-id"]


def record(client: httpx.Client, answer: httpx.Response) -> Any:
    """Return the log's record of a request."""
    found = client.get(f"{PATH}/{id_of(answer)}")
    assert found.status_code == 200, found.text
    return found.json()


def written(live: LiveServer) -> str:
    """Return all that is in the log's table."""

    async def read() -> list[Any]:
        await live.services.rooms["request log"].write()
        async with live.services.database.tx(await live.services.registry.get("alpha")) as tx:
            return await tx.fetch("SELECT t::text || convert_from(exchange, 'UTF8') AS row FROM request_log AS t")

    return "\n".join(row["row"] for row in live.run(read()))


class TestTheLog:
    @pytest.mark.parametrize("path", ["//v1/parties", "/v1//parties", "/v1/parties/"])
    def test_has_requests_however_their_address_is_spelled(self, live: LiveServer, client: httpx.Client, path: str):
        """Whatever reaches an operation is in the log, by the operation's own address."""
        answer = client.get(f"{live.base('alpha')}{path}")
        assert answer.status_code == 200
        assert record(client, answer)["path"] == "/v1/parties"

    def test_has_nothing_of_what_people_and_programs_wrote(self, live: LiveServer, said: list[httpx.Response]):
        """Names, numbers of cards, keys, tokens and unknown words are nowhere in it, however they came."""
        assert [each.status_code for each in said] == [201, 400, 400, 400, 400, 400, 400, 400, 404, 401, 401]
        text = written(live)
        assert all(id_of(each) in text for each in said)
        assert "Canary" not in text
        assert "Can%" not in text
        assert CARD not in text
        assert "Bearer" not in text

    def test_shows_what_was_asked_and_answered(self, client: httpx.Client, said: list[httpx.Response]):
        """A program finds its request by its id, with the ids, words and times in both messages."""
        shown, answered = record(client, said[0]), said[0].json()
        assert (shown["method"], shown["operation"], shown["path"]) == ("POST", "createParty", "/v1/parties")
        assert (shown["status"], shown["code"], shown["request_id"]) == (201, None, id_of(said[0]))
        assert shown["request"]["body"] == {"kind": "person", "name": WITHHELD, "metadata": WITHHELD}
        assert shown["request"]["headers"]["content-type"] == "application/json"
        body = shown["response"]["body"]
        assert (body["id"], body["created_at"]) == (answered["id"], answered["created_at"])
        assert (body["name"], shown["response"]["body_state"]) == (WITHHELD, "shown")

    def test_tells_why_a_request_was_refused(self, client: httpx.Client, said: list[httpx.Response]):
        """The problem is told whole, and the body as far as it is of the documented form."""
        shown = record(client, said[2])
        assert shown["code"] == "validation_failed"
        assert shown["response"]["body"] == said[2].json()
        assert shown["request"]["body"] == {"amount": {"amount_minor": WITHHELD, "currency": WITHHELD}}
        assert record(client, said[3])["request"]["body_state"] == "unreadable"
        assert record(client, said[4])["request"]["headers"]["idempotency-key"] == WITHHELD

    def test_has_operations_of_all_routes(self, client: httpx.Client):
        """What the edge runs by itself, what the router runs and what nobody does are all in it."""
        party = client.post("/v1/parties", json={"kind": "person", "name": CANARY}).json()["id"]
        wallet = client.post("/v1/wallets", json={"party_id": party, "currencies": ["EUR"]}).json()["id"]
        body = {"from_wallet_id": wallet, "to_wallet_id": wallet, "amount": {"amount_minor": 5, "currency": "EUR"}}
        hot = client.post("/v1/transfers", json=body, headers={"Idempotency-Key": uuid.uuid4().hex})
        assert record(client, hot)["request"]["body"] == body
        cold = client.get(f"/v1/wallets/{wallet}")
        assert record(client, cold)["path"] == f"/v1/wallets/{wallet}"
        with_query = client.get(
            "/v1/wallets", params={"party_id": party, "limit": 5, "alias": CANARY, "expand": "party"}
        )
        asked = {"party_id": party, "limit": "5", "alias": WITHHELD, "expand": "party"}
        assert record(client, with_query)["query"] == asked

    def test_tells_of_other_surfaces_without_bodies(self, live: LiveServer, said: list[httpx.Response]):
        """A refused request for a token is there with its operation, and nothing of what was said."""

        async def find() -> Any:
            async with live.services.database.tx(await live.services.registry.get("alpha")) as tx:
                caller = Caller(actor="x", client_id=ids.uuid7(), user_id=ids.uuid7())
                return (await service.get(tx, caller, id_of(said[-1]))).to_record()

        written(live)
        found = live.run(find())
        assert (found.path, found.client_id, found.request.body, found.response.body) == (
            "/oauth/token",
            None,
            None,
            None,
        )
        assert found.request.body_state == "withheld"


class TestAList:
    def test_is_filtered_and_goes_on_page_by_page(self, client: httpx.Client, said: list[httpx.Response]):
        """Filters meet together, the newest comes first, and pages leave nothing out."""
        wanted: dict[str, str | int] = {
            "status_class": "4xx",
            "method": "POST",
            "operation": "createTransfer",
            "limit": 2,
        }
        pages = [client.get(PATH, params=wanted).json()]
        while (cursor := pages[-1]["next_cursor"]) is not None:
            pages.append(client.get(PATH, params={**wanted, "cursor": cursor}).json())
        found = [each["request_id"] for page in pages for each in page["data"]]
        assert found[-3:] == [id_of(said[4]), id_of(said[3]), id_of(said[2])]
        one = client.get(PATH, params={"request_id": id_of(said[0])}).json()["data"]
        assert [each["status"] for each in one] == [201]
        at = one[0]["answered_at"]
        assert id_of(said[0]) in [each["request_id"] for each in client.get(PATH, params={"from": at}).json()["data"]]
        earlier = client.get(PATH, params={"to": at, "limit": 100}).json()["data"]
        assert id_of(said[0]) not in [each["request_id"] for each in earlier]

    def test_shows_a_program_its_own(self, live: LiveServer, client: httpx.Client, said: list[httpx.Response]):
        """Another program of the tenant sees neither requests of the first nor that there are any."""
        with live.client("alpha", ["requests:read"]) as other:
            assert other.get(f"{PATH}/{id_of(said[0])}").status_code == 404
            mine = client.get(PATH, params={"request_id": id_of(said[0])}).json()["data"][0]["client_id"]
            assert other.get(PATH, params={"client_id": mine}).json()["data"] == []
            assert {each["client_id"] for each in other.get(PATH).json()["data"]}.isdisjoint({mine})

    def test_ends_at_the_tenant(self, live: LiveServer, said: list[httpx.Response]):
        """At another tenant nobody finds it, and without the scope nobody looks."""
        with live.client("beta", ["requests:read"]) as elsewhere, live.client("alpha", ["parties:read"]) as unscoped:
            assert elsewhere.get(f"{PATH}/{id_of(said[0])}").status_code == 404
            assert unscoped.get(PATH).json()["code"] == "insufficient_scope"

    def test_shows_all_to_who_works_for_the_tenant(self):
        """Whoever has signed in sees every program's requests; a program sees its own."""
        client_id = ids.uuid7()
        assert service.visible_to(Caller(actor="x", client_id=client_id)) == client_id
        assert service.visible_to(Caller(actor="x", client_id=client_id, user_id=ids.uuid7())) is None
        assert ids.encode(Prefix.CLIENT, client_id).startswith("cli_")
