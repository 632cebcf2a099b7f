"""Partners that are removed: when they may be, what goes with them, what stays readable, and who comes too late."""

import asyncio
import contextvars
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from click.testing import CliRunner

from billfold import Billfold, errors, ids
from billfold.contract.clients import CreateClient
from billfold.contract.partner_sandboxes import CreatePartnerSandbox
from billfold.contract.partners import CreatePartnerMember
from billfold.contract.roles import PartnerRole
from billfold.ids import Prefix
from billfold_server.app import open_services
from billfold_server.identity.clients import management
from billfold_server.identity.service import set_client_state
from billfold_server.partners import commands, rules, service
from billfold_server.people.service import Realm
from billfold_server.request_log import service as requests
from billfold_server.sandbox import owned
from billfold_server.sandbox.making import follow_partner
from billfold_server.tenancy.transaction import TenantTx
from tests.callers import CALLER
from tests.live import LiveServer
from tests.postgres import until_waited_for
from tests.server.partners.worlds import SECRET, Side, World, as_client, made

DEADLINE_S = 30
NOTHING = {"clients": 0, "members": 0, "sandboxes": 0, "webhook_endpoints": 0}
BANK = msgspec.structs.replace(CALLER, scopes=frozenset({"wallets:read"}))


class Leaving:
    """A suspended partner of which nothing is left but a disabled client.

    Args:
        world: Whose bank it is at.
    """

    def __init__(self, world: World) -> None:
        self.live, self.bank = world.live, world.bank
        self.external_id = secrets.token_hex(6)
        body = {"name": "Leaving Ltd", "external_id": self.external_id, "client_scopes": ["wallets:read"]}
        self.id = made(world.bank.post("/v1/partners", json=body))["id"]
        self.path = f"/v1/partners/{self.id}"
        self.key = ids.decode(Prefix.PARTNER, self.id)
        body = {**SECRET, "scope": "wallets:read", "partner_id": self.id}
        self.client = made(world.bank.post("/v1/clients", json=body))["id"]
        for path in (f"/v1/clients/{self.client}/disable", f"{self.path}/suspend"):
            assert world.bank.post(path).status_code == 200

    async def remove(self, tx: TenantTx) -> None:
        """Remove it in a transaction that may go on."""
        now = self.live.services.clock.now()
        await service.remove(tx, CALLER, self.key, check_version=lambda _: None, real_now=now)

    async def removed(self) -> errors.PartnerInUse | None:
        """Remove it in a transaction of its own, and return what keeps it, where something does."""
        try:
            async with self.live.services.database.tx(await self.live.services.registry.get("alpha")) as tx:
                await self.remove(tx)
        except errors.PartnerInUse as refused:
            return refused
        return None


@pytest.fixture
def leaving(world: World) -> Leaving:
    """A partner that may be removed."""
    return Leaving(world)


def refused(answer: httpx.Response) -> tuple[int, str, Any]:
    """Return how a request was refused."""
    return answer.status_code, answer.json()["code"], answer.json().get("facts")


def until_gone(bank: httpx.Client, path: str) -> None:
    """Wait until something isn't there."""
    deadline = time.monotonic() + DEADLINE_S
    while (status := bank.get(path).status_code) != 404 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert status == 404


class TestAPartnerOfWhichSomethingIsLeft:
    def test_is_removed_by_the_bank_step_by_step(self, world: World) -> None:
        """While it is let in it stays; then each refusal counts what is left, and the last step is the removal."""
        side = Side(world.bank, partner=True)
        path = f"/v1/partners/{side.partner['id']}"
        sandbox = made(world.bank.post(f"{path}/sandboxes", json={"name": "x", "seeded": False}))
        assert refused(world.bank.delete(path)) == (409, "partner_state_refuses", {"state": "active"})
        assert world.bank.post(f"{path}/suspend").status_code == 200
        left = dict.fromkeys(NOTHING, 1)
        steps = {
            "clients": ("POST", f"/v1/clients/{side.client['id']}/disable"),
            "members": ("DELETE", f"{path}/members/{side.member['id']}"),
            "webhook_endpoints": ("DELETE", f"/v1/webhook-endpoints/{side.endpoint['id']}"),
            "sandboxes": ("DELETE", f"{path}/sandboxes/{sandbox['id']}"),
        }
        for what, (method, step) in steps.items():
            answer = world.bank.delete(path)
            assert refused(answer) == (409, "partner_in_use", left)
            assert rules.LEAVING[what] in answer.json()["detail"]
            assert world.bank.request(method, step).is_success
            left[what] = 0
        # A sandbox that is being removed is still one.
        until_gone(world.bank, f"{path}/sandboxes/{sandbox['id']}")
        assert world.bank.delete(path).status_code == 204
        assert world.bank.get(path).status_code == 404

    def test_keeps_everything_it_has(self, world: World, leaving: Leaving) -> None:
        """What was refused has changed nothing: its disabled client is there, and can be enabled once it is back."""
        body = {"login_name": f"x.{secrets.token_hex(4)}", "display_name": "x", "role": "viewer"}
        invited = made(world.bank.post(f"{leaving.path}/members", json=body))["id"]
        made(world.bank.post(f"{leaving.path}/members/{invited}/enrolment-codes"))
        before = world.bank.get(leaving.path).json()
        assert refused(world.bank.delete(leaving.path)) == (409, "partner_in_use", {**NOTHING, "members": 1})
        assert world.bank.get(leaving.path).json() == before
        assert world.bank.get(f"/v1/clients/{leaving.client}").json()["state"] == "disabled"
        assert world.bank.post(f"{leaving.path}/resume").json()["external_id"] == leaving.external_id

    def test_is_not_removed_by_itself_or_by_who_read_another_version(self, world: World, leaving: Leaving) -> None:
        """Removing takes what no partner is given, and ``If-Match`` holds as it does for a change."""
        answer = world.api.delete(f"/v1/partners/{world.one.partner['id']}")
        assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
        etag = world.bank.get(leaving.path).headers["etag"]
        stale = world.bank.delete(leaving.path, headers={"If-Match": '"1"'})
        assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
        assert world.bank.delete(leaving.path, headers={"If-Match": etag}).status_code == 204

    def test_is_refused_in_words_for_what_is_left_alone(self) -> None:
        """The sentence counts what there is, and there is none where nothing is left."""
        assert rules.why_in_use(NOTHING) is None
        said = rules.why_in_use({**NOTHING, "clients": 2, "sandboxes": 1})
        assert said == "the partner still has API clients that aren't disabled: 2, sandboxes: 1"


class TestARemovedPartner:
    def test_is_not_there_for_anybody(self, world: World, leaving: Leaving) -> None:
        """It is in no list and comes back by nothing, and nothing is made for it; its external id is free."""
        assert world.bank.delete(leaving.path).status_code == 204
        for query in ({}, {"state": "suspended"}, {"external_id": leaving.external_id}):
            listed = world.bank.get("/v1/partners", params={**query, "limit": 100}).json()["data"]
            assert leaving.id not in {each["id"] for each in listed}
        member = {"login_name": f"x.{secrets.token_hex(4)}", "display_name": "x", "role": "viewer"}
        endpoint = {"url": "https://partner.example/x", "partner_id": leaving.id}
        asked: list[tuple[str, str, Any]] = [
            ("GET", leaving.path, None),
            ("PATCH", leaving.path, {"name": "Back"}),
            ("DELETE", leaving.path, None),
            ("POST", f"{leaving.path}/suspend", None),
            ("POST", f"{leaving.path}/resume", None),
            ("GET", f"{leaving.path}/members", None),
            ("POST", f"{leaving.path}/members", member),
            ("GET", f"{leaving.path}/sandboxes", None),
            ("POST", f"{leaving.path}/sandboxes", {"name": "x"}),
            ("POST", "/v1/clients", {**SECRET, "scope": "wallets:read", "partner_id": leaving.id}),
            ("POST", "/v1/webhook-endpoints", endpoint),
            ("GET", f"/v1/clients/{leaving.client}", None),
            ("POST", f"/v1/clients/{leaving.client}/enable", None),
        ]
        for method, path, body in asked:
            answer = world.bank.request(method, path, **({} if body is None else {"json": body}))
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), (method, path)
        again = made(world.bank.post("/v1/partners", json={"name": "x", "external_id": leaving.external_id}))
        assert again["id"] != leaving.id

    def test_is_told_of_by_the_audit_and_one_event(self, world: World) -> None:
        """Records and requests stay readable: what it was called, what went with it, and what its programs asked."""
        side = Side(world.bank, partner=True)
        with as_client(world.live, side.credentials) as client:
            answer = client.get("/v1/wallets")
            assert answer.status_code == 200
            request_id = answer.headers["x-request-id"]
        path, client_id = f"/v1/partners/{side.partner['id']}", side.client["id"]
        for step in (f"/v1/clients/{client_id}/disable", f"{path}/suspend"):
            world.bank.post(step)
        world.bank.delete(f"/v1/webhook-endpoints/{side.endpoint['id']}")
        world.bank.delete(f"{path}/members/{side.member['id']}")
        assert world.bank.delete(path).status_code == 204
        records = world.bank.get("/v1/audit-records", params={"object_id": side.partner["id"]}).json()["data"]
        assert [each["action"] for each in records] == ["partner.removed", "partner.suspended", "partner.created"]
        own = side.partner["external_id"]
        assert records[0]["facts"] == {"name": "Example Shop Ltd", "external_id": own}
        records = world.bank.get("/v1/audit-records", params={"object_id": client_id}).json()["data"]
        assert [each["action"] for each in records] == ["client.deleted", "client.disabled", "client.created"]
        events = world.bank.get("/v1/events", params={"object_id": side.partner["id"]}).json()["data"]
        assert [each["type"] for each in events] == ["partner.created", "partner.suspended", "partner.removed"]
        assert events[-1]["data"] == {"id": side.partner["id"], "state": "suspended", "version": 3, "changed": []}
        user = world.bank.get(f"/v1/users/{side.member['id']}").json()
        assert (user["partner_id"], user["display_name"]) == (side.partner["id"], "-")
        assert world.live.run(logged(world.live, request_id, of=side.client["id"]))

    def test_is_let_in_by_no_statement(self, leaving: Leaving) -> None:
        """The database refuses to resume it, also to whoever doesn't know that it was removed."""

        async def resume() -> None:
            async with leaving.live.services.database.tx(await leaving.live.services.registry.get("alpha")) as tx:
                await leaving.remove(tx)
                await tx.execute("UPDATE partners SET state = 'active' WHERE id = $1", leaving.key)

        with pytest.raises(Exception, match="partners_removed_check"):
            leaving.live.run(resume())

    def test_is_followed_by_no_job_that_fails(self, world: World, leaving: Leaving) -> None:
        """The job that closes a suspended partner's sandboxes may come after the removal, and has nothing to do."""
        assert world.bank.delete(leaving.path).status_code == 204
        services = leaving.live.services
        alpha = leaving.live.run(services.registry.get("alpha"))
        leaving.live.run(follow_partner(services, alpha, leaving.key))

    def test_is_removed_by_the_sdk_and_the_command_line(self, world: World, leaving: Leaving) -> None:
        """Both do what the operation does, and both tell what keeps it."""
        credentials = leaving.live.add_client("alpha")
        said: Any = {"client_id": credentials.client_id, "client_secret": credentials.secret}
        partner = made(world.bank.post("/v1/partners", json={"name": "x"}))["id"]
        with Billfold(base_url=leaving.live.base("alpha"), **said) as billfold:
            with pytest.raises(errors.PartnerStateRefuses) as kept:
                billfold.partners.remove(partner)
            assert kept.value.state == "active"
            version = billfold.partners.suspend(partner).version
            billfold.partners.remove(partner, if_match=version)
            with pytest.raises(errors.NotFound):
                billfold.partners.remove(partner)
        opened = partial(open_services, leaving.live.services.settings)
        words = ["delete", leaving.id, "--tenant", "alpha", "--json"]
        done = CliRunner().invoke(commands.partners, words, obj=opened)
        assert (done.exit_code, json.loads(done.stdout)) == (0, {"partner_id": leaving.id, "done": "delete"})
        again = CliRunner().invoke(commands.partners, words, obj=opened)
        assert isinstance(again.exception, errors.NotFound)


async def logged(live: LiveServer, request_id: str, *, of: str) -> bool:
    """Tell whether the bank's staff find a request of a client in the log, in which it soon is."""
    staff = msgspec.structs.replace(CALLER, user_id=ids.uuid7())
    deadline = time.monotonic() + DEADLINE_S
    while True:
        async with live.services.database.tx(await live.services.registry.get("alpha")) as tx:
            with suppress(errors.NotFound):
                return (await requests.get(tx, staff, request_id)).client_id == ids.decode(Prefix.CLIENT, of)
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


# Races. One of the two is begun first, and stays open until the other waits for it.


async def one_waits_for_the_other(
    live: LiveServer, first: Callable[[TenantTx], Awaitable[Any]], second: Callable[[], Coroutine[Any, Any, Any]]
) -> Any:
    """Do one thing in a transaction that stays open until another one waits for it, and return what that comes to."""
    # What is begun within a transaction would be taken for a part of it.
    outside = contextvars.copy_context()
    async with live.services.database.tx(await live.services.registry.get("alpha")) as tx:
        await first(tx)
        task = asyncio.get_running_loop().create_task(second(), context=outside)
        await until_waited_for(tx, task)
    return await task


async def _client(live: LiveServer, tx: TenantTx, leaving: Leaving) -> None:
    profile = live.services.identity.realm(tx.tenant).profile
    body = CreateClient(token_endpoint_auth_method="client_secret_basic", scope="wallets:read", partner_id=leaving.id)
    keyring, now = live.services.keyring, live.services.clock.now()
    await management.create_client(tx, keyring, profile, BANK, body, now=now)


async def _enabled(live: LiveServer, tx: TenantTx, leaving: Leaving) -> None:
    key = ids.decode(Prefix.CLIENT, leaving.client)
    await management.set_state(tx, BANK, key, enabled=True, now=live.services.clock.now())


async def _enabled_by_hand(live: LiveServer, tx: TenantTx, leaving: Leaving) -> None:
    await set_client_state(tx, leaving.client, enabled=True, now=live.services.clock.now())


async def _member(live: LiveServer, tx: TenantTx, leaving: Leaving) -> None:
    body = CreatePartnerMember(login_name=f"x.{secrets.token_hex(4)}", display_name="x", role=PartnerRole.VIEWER)
    await service.create_member(Realm.of(live.services, tx.tenant), tx, CALLER, leaving.key, body)


async def _sandbox(_: LiveServer, tx: TenantTx, leaving: Leaving) -> None:
    await owned.create(tx, CALLER, leaving.key, CreatePartnerSandbox(name="x", seeded=False), most=3)


MADE = {
    "client": (_client, "clients"),
    "enabled": (_enabled, "clients"),
    "enabled by hand": (_enabled_by_hand, "clients"),
    "member": (_member, "members"),
    "sandbox": (_sandbox, "sandboxes"),
}


class TestWhatIsMadeWhileAPartnerIsRemoved:
    @pytest.mark.parametrize("what", MADE)
    def test_is_counted_if_it_was_first(self, leaving: Leaving, what: str) -> None:
        """The removal waits for whoever makes something, and then says what keeps the partner."""
        make, name = MADE[what]
        kept = leaving.live.run(
            one_waits_for_the_other(leaving.live, lambda tx: make(leaving.live, tx, leaving), leaving.removed)
        )
        assert kept is not None
        assert kept.facts == {**NOTHING, name: 1}
        assert leaving.bank.get(leaving.path).status_code == 200

    @pytest.mark.parametrize("what", [*MADE, "webhook endpoint", "resumed"])
    def test_is_not_made_if_it_was_late(self, leaving: Leaving, what: str) -> None:
        """Whoever makes something waits for the removal, and then there is no partner to make it for."""
        live = leaving.live

        async def late() -> int:
            try:
                async with live.services.database.tx(await live.services.registry.get("alpha")) as tx:
                    await MADE[what][0](live, tx, leaving)
            except errors.NotFound:
                return 404
            return 200

        async def asked() -> int:
            body = {"url": "https://partner.example/x", "partner_id": leaving.id}
            path = "/v1/webhook-endpoints" if what == "webhook endpoint" else f"{leaving.path}/resume"
            more: Any = {"json": body} if what == "webhook endpoint" else {}
            return (await asyncio.to_thread(leaving.bank.post, path, **more)).status_code

        second = late if what in MADE else asked
        assert live.run(one_waits_for_the_other(live, leaving.remove, second)) == 404
        assert live.run(living(live, leaving.key)) == 0


async def living(live: LiveServer, partner_id: UUID) -> int:
    """Return how much there is that acts or is served for a partner, as its tables say, whatever the API does."""
    async with live.services.database.tx(await live.services.registry.get("alpha")) as tx:
        found: int = await tx.fetchval(
            "SELECT (SELECT count(*) FROM api_clients WHERE partner_id = $1 AND state <> 'deleted')"
            " + (SELECT count(*) FROM webhook_endpoints WHERE partner_id = $1)"
            " + (SELECT count(*) FROM users WHERE partner_id = $1)"
            " + (SELECT count(*) FROM partner_sandboxes WHERE partner_id = $1)",
            partner_id,
        )
        return found
