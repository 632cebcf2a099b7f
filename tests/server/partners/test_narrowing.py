"""What belongs to another partner, or to the tenant itself, isn't there for who acts for a partner: nowhere."""

import re
from typing import Any

import httpx
import pytest

from billfold import ids
from billfold.ids import Prefix
from billfold_server.rooms import operations
from tests.server.partners.worlds import Side, World

SCOPES = ("clients:", "members:", "partners:read", "webhooks:")
_PLACE = re.compile(r"\{([a-z_]+)\}")
MATRIX = [each for each in operations() if (each.scope or "").startswith(SCOPES)]
ADDRESSED = [each for each in MATRIX if _PLACE.search(each.path)]
LISTS = [each for each in MATRIX if each.method == "GET" and each not in ADDRESSED]
PREFIXES = {
    "client_id": Prefix.CLIENT,
    "partner_id": Prefix.PARTNER,
    "user_id": Prefix.USER,
    "webhook_endpoint_id": Prefix.WEBHOOK_ENDPOINT,
    "webhook_delivery_id": Prefix.WEBHOOK_DELIVERY,
}
JWKS = {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}
BODIES: dict[str, Any] = {
    "updateClient": {"client_name": "taken"},
    "rotateClientKeys": {"jwks": JWKS},
    "rotateClientSecret": {},
    "updateWebhookEndpoint": {"description": "taken"},
    "rotateWebhookSecret": {},
    "replayWebhookEvents": {},
    "createPartnerMember": {"login_name": "mallory", "display_name": "Mallory", "role": "admin"},
    "setPartnerMemberRole": {"role": "admin"},
}
"""What is sent to operations with a body."""


def names_of(side: Side, partner: str | None = None) -> dict[str, str]:
    """Return what is a side's own, by the names of path parameters."""
    names = {"client_id": side.client["id"], "webhook_endpoint_id": side.endpoint["id"]}
    if hasattr(side, "partner"):
        names |= {"partner_id": partner or side.partner["id"], "user_id": side.member["id"]}
    return names


def send(client: httpx.Client, operation: Any, names: dict[str, str], **more: Any) -> httpx.Response:
    """Send a well-formed request."""
    path = _PLACE.sub(lambda place: names[place[1]], operation.path)
    body = BODIES.get(operation.operation_id)
    return client.request(operation.method, path, **({} if body is None else {"json": body}), **more)


def said(answer: httpx.Response) -> dict[str, Any]:
    """Return what an answer says, but for what is each request's own."""
    return {name: each for name, each in answer.json().items() if name not in {"request_id", "instance"}}


@pytest.fixture(scope="module")
def deliveries(world: World) -> dict[str, str]:
    """Return a delivery of the other partner's, and one of the own, by whose it is."""
    world.bank.post("/v1/products", json={"name": "x", "type": "other", "description": "x"})
    found: dict[str, str] = {}
    for name in ("one", "other", "own"):
        path = f"/v1/webhook-endpoints/{getattr(world, name).endpoint['id']}/replay"
        assert world.bank.post(path, json={}).json()["replayed"] > 0
        query = {"webhook_endpoint_id": getattr(world, name).endpoint["id"]}
        found[name] = world.bank.get("/v1/webhook-deliveries", params=query).json()["data"][0]["id"]
    return found


class TestWhatIsAnothers:
    @pytest.mark.parametrize("operation", ADDRESSED, ids=lambda each: each.operation_id)
    @pytest.mark.parametrize("whose", ["other", "own", "mixed"])
    def test_looks_as_if_it_were_not_there(self, world: World, deliveries: dict[str, str], operation, whose: str):
        """Another partner's, and the tenant's own, is refused in the very words in which the unknown is."""
        wanted = set(_PLACE.findall(operation.path))
        if whose == "mixed":
            # One's own partner in the path, and another's member.
            names = names_of(world.other, world.one.partner["id"])
        else:
            names = names_of(getattr(world, whose)) | {"webhook_delivery_id": deliveries[whose]}
        if not wanted <= names.keys() or (whose == "mixed" and "user_id" not in wanted):
            assert whose != "other"
            return
        unknown = {name: ids.new(PREFIXES[name]) for name in wanted}
        if whose == "mixed":
            unknown["partner_id"] = world.one.partner["id"]
        refused, nothing = send(world.api, operation, names), send(world.api, operation, unknown)
        assert (refused.status_code, nothing.status_code) == (404, 404)
        assert said(refused) == said(nothing)

    @pytest.mark.parametrize("operation", LISTS, ids=lambda each: each.operation_id)
    def test_is_in_no_list(self, world: World, deliveries: dict[str, str], operation):
        """Lists have one's own alone, and naming another partner is naming none."""
        listed = world.api.get(operation.path, params={"limit": 100}).json()["data"]
        assert listed
        foreign = {each["id"] for side in (world.other, world.own) for each in (side.client, side.endpoint)}
        foreign |= {deliveries["other"], deliveries["own"], world.other.partner["id"]}
        assert not foreign & {each["id"] for each in listed}
        assert not foreign & {each.get("webhook_endpoint_id") for each in listed}
        if operation.operation_id in {"listClients", "listWebhookEndpoints"}:
            for partner in (world.other.partner["id"], ids.new(Prefix.PARTNER)):
                answer = world.api.get(operation.path, params={"partner_id": partner})
                assert (answer.status_code, answer.json()["code"]) == (404, "not_found")

    @pytest.mark.parametrize("path", ["/v1/clients", "/v1/webhook-endpoints"])
    def test_is_nothing_that_one_can_make(self, world: World, path: str):
        """Whoever acts for a partner makes what is that partner's, and nothing of another's."""
        body = {"scope": "wallets:read"} if path == "/v1/clients" else {"url": "https://partner.example/x"}
        more = {"token_endpoint_auth_method": "client_secret_basic"} if path == "/v1/clients" else {}
        answers = [
            world.api.post(path, json={**body, **more, "partner_id": partner})
            for partner in (world.other.partner["id"], ids.new(Prefix.PARTNER))
        ]
        assert [each.status_code for each in answers] == [404, 404]
        assert said(answers[0]) == said(answers[1])
        made = world.api.post(path, json={**body, **more}).json()
        assert made["partner_id"] == world.one.partner["id"]
        assert world.bank.get(f"{path}/{made['id']}").json()["partner_id"] == made["partner_id"]

    def test_is_not_in_the_stream_of_events(self, world: World, deliveries: dict[str, str]):
        """People, partners and endpoints of others aren't told of; what is about the tenant's business is."""
        assert deliveries, "something has happened that is the tenant's business"
        found: list[dict[str, Any]] = []
        after = 0
        while page := world.api.get("/v1/events", params={"after": after, "limit": 100}).json()["data"]:
            found, after = found + page, page[-1]["sequence"]
        about = {each["object_id"] for each in found}
        assert {world.one.partner["id"], world.one.endpoint["id"], world.one.member["id"]} <= about
        foreign = {world.other.partner["id"], world.other.endpoint["id"], world.other.member["id"]}
        assert not (foreign | {world.own.endpoint["id"]}) & about
        assert "product.created" in {each["type"] for each in found}


class TestEveryOperation:
    def test_that_manages_something_is_in_the_matrix(self):
        """What has no path parameter lists or makes something, and what has one is of a kind that the matrix knows."""
        assert {name for each in ADDRESSED for name in _PLACE.findall(each.path)} == PREFIXES.keys()
        rest = {each.operation_id for each in MATRIX} - {each.operation_id for each in [*ADDRESSED, *LISTS]}
        assert rest == {"createClient", "createWebhookEndpoint"}

    def test_is_as_before_without_a_partner(self, world: World):
        """The bank sees everybody's, and by a partner that it names that one's alone."""
        for side in (world.one, world.other, world.own):
            assert world.bank.get(f"/v1/clients/{side.client['id']}").json()["id"] == side.client["id"]
            assert world.bank.get(f"/v1/webhook-endpoints/{side.endpoint['id']}").json()["id"] == side.endpoint["id"]
        named = world.bank.get("/v1/clients", params={"partner_id": world.other.partner["id"]}).json()["data"]
        assert world.other.client["id"] in {each["id"] for each in named}
        assert {each["partner_id"] for each in named} == {world.other.partner["id"]}
