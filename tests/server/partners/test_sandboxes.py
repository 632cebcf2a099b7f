"""Sandboxes of a partner's own: made, reset and removed by it, closed with it, and a way into nobody else's tenant."""

import asyncio
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import UUID

import httpx
import pytest
from click.testing import CliRunner

from billfold import Billfold, errors, ids
from billfold.contract.clients import CreateClient
from billfold.contract.partner_sandboxes import PartnerSandboxState
from billfold.ids import Prefix
from billfold_server.app import open_services
from billfold_server.identity.clients.rows import find_surplus
from billfold_server.sandbox import commands, owned_rules
from billfold_server.sandbox.making import carry_out
from billfold_server.sandbox.owned import MOST_CREDENTIALS
from billfold_server.tenancy.context import SYSTEM
from billfold_server.tenancy.service import Owner
from tests.live import Credentials, LiveServer
from tests.postgres import until_waited_for
from tests.server.partners.worlds import DEADLINE_S, SECRET, World, as_client, made, until
from tests.tenants import manifest

SCOPES = ["partner_sandboxes:read", "partner_sandboxes:write", "partners:read"]


class Owning:
    """A partner with a program of its own, which looks after sandboxes.

    Args:
        world: Whose bank it is at.
    """

    def __init__(self, world: World) -> None:
        self.live, self.bank = world.live, world.bank
        body = {"name": "Example Shop Ltd", "client_scopes": SCOPES}
        self.id = made(world.bank.post("/v1/partners", json=body))["id"]
        client = made(world.bank.post("/v1/clients", json={**SECRET, "scope": " ".join(SCOPES), "partner_id": self.id}))
        self.credentials = Credentials(client["id"], client["client_secret"])
        self.api = as_client(world.live, self.credentials)
        self.path = f"/v1/partners/{self.id}/sandboxes"

    def make(self, **body: Any) -> dict[str, Any]:
        """Ask for a sandbox."""
        return made(self.api.post(self.path, json={"name": secrets.token_hex(4), "seeded": False, **body}))

    def ready(self, sandbox_id: str) -> dict[str, Any]:
        """Return a sandbox once it is ready."""
        deadline = time.monotonic() + DEADLINE_S
        while (found := self.bank.get(f"{self.path}/{sandbox_id}").json())["state"] != "ready":
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        return dict(found)

    def get_in(self, sandbox_id: str) -> dict[str, Any]:
        """Return credentials of a sandbox that is ready."""
        return made(self.api.post(f"{self.path}/{sandbox_id}/credentials"))


@pytest.fixture(scope="module")
def owning(world: World) -> Iterator[Owning]:
    """A partner with sandboxes."""
    found = Owning(world)
    yield found
    found.api.close()


@pytest.fixture(scope="module")
def sandbox(owning: Owning) -> dict[str, Any]:
    """One of them, with customers, that is ready."""
    return owning.ready(owning.make(name="checkout", seeded=True, seed=7)["id"])


def token_answer(credentials: dict[str, Any]) -> httpx.Response:
    """Ask for a token with credentials of a sandbox."""
    return httpx.post(
        f"{credentials['base_url']}/oauth/token",
        data={"grant_type": "client_credentials"},
        auth=(credentials["client_id"], credentials["client_secret"]),
    )


class TestASandbox:
    def test_is_a_tenant_of_its_own_under_the_banks_brand(self, owning: Owning, sandbox: dict[str, Any]) -> None:
        """The credentials open it and nothing else; its customers follow from the seed, and the bank knows none."""
        assert (sandbox["name"], sandbox["seed"], sandbox["step"]) == ("checkout", 7, "done")
        credentials = owning.get_in(sandbox["id"])
        assert credentials["base_url"] == sandbox["base_url"]
        said = {name: credentials[name] for name in ("base_url", "client_id", "client_secret")}
        with Billfold(**said) as inside:
            tenant = inside.tenant.get()
            assert (tenant.sandbox, tenant.brand["display_name"]) == (True, "alpha")
            customers = [each.external_id for each in inside.parties.list()]
            assert len(customers) == 3
            assert not list(inside.partners.list())
            partner = inside.partners.create(name="x")
            with pytest.raises(errors.FeatureDisabled):
                inside.partners.sandboxes.create(partner.id, name="x")
        assert owning.bank.get("/v1/parties", params={"external_id": customers[0]}).json()["data"] == []
        elsewhere = {**credentials, "base_url": owning.live.base("alpha")}
        assert token_answer(elsewhere).status_code == 401

    def test_is_told_of_to_operators_and_not_by_its_slug(self, owning: Owning, sandbox: dict[str, Any]) -> None:
        """The platform says whose it is; the slug tells of the bank alone."""
        slug = sandbox["base_url"].rpartition("/")[2]
        assert owning_name(slug) == "alpha"
        with owning.live.client(None) as operator:
            shown = operator.get(f"{owning.live.url}/platform/v1/tenants/{slug}").json()
        assert shown["sandbox_of"] == {"tenant": "alpha", "partner_id": owning.id}

    def test_is_audited_with_who_asked_for_it(self, owning: Owning, sandbox: dict[str, Any]) -> None:
        """Whoever made it and got into it stands in the bank's audit, and that it became ready; never a secret."""
        found = owning.bank.get("/v1/audit-records", params={"object_id": sandbox["id"]}).json()["data"]
        actors = {each["action"]: each["actor"] for each in found}
        assert actors["partner_sandbox.created"] == owning.credentials.client_id
        assert actors["partner_sandbox.ready"] == "job:partner_sandbox.work"
        client_id = owning.get_in(sandbox["id"])["client_id"]
        newest = owning.bank.get("/v1/audit-records", params={"object_id": sandbox["id"]}).json()["data"][0]
        assert (newest["action"], newest["actor"], newest["facts"]["client_id"]) == (
            "partner_sandbox.credentials_created", owning.credentials.client_id, client_id,
        )  # fmt: skip
        assert "bfs_" not in str(found)

    def test_is_reset_and_removed_for_good(self, owning: Owning) -> None:
        """A reset empties it and leaves its clients in; once it is removed, nobody answers there."""
        one = owning.ready(owning.make()["id"])
        path = f"{owning.path}/{one['id']}"
        credentials = owning.get_in(one["id"])
        said = {name: credentials[name] for name in ("base_url", "client_id", "client_secret")}
        with Billfold(**said) as inside:
            inside.parties.create(kind="person", name="Grace Hopper")
            assert owning.api.post(f"{path}/reset", json={}).json()["state"] == "resetting"
            owning.ready(one["id"])
            assert list(inside.parties.list()) == []
        assert owning.api.delete(path).status_code == 204
        until(404, lambda: owning.api.get(path))
        until(404, lambda: token_answer(credentials))
        assert one["id"] not in str(owning.api.get(owning.path).json())
        happened = owning.bank.get("/v1/events", params={"object_id": one["id"]}).json()["data"]
        assert [(each["type"].partition(".")[2], each["data"]["state"]) for each in happened] == [
            ("created", "preparing"),
            ("ready", "ready"),
            ("resetting", "resetting"),
            ("ready", "ready"),
            ("removing", "removing"),
            ("removed", None),
        ]
        assert {each["data"]["partner_id"] for each in happened} == {owning.id}

    def test_has_no_more_credentials_than_anybody_needs(self, owning: Owning) -> None:
        """The oldest are disabled for new ones, as the bank is told, also at once; what is made inside stays."""
        one = owning.ready(owning.make()["id"])
        path = f"{owning.path}/{one['id']}/credentials"
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda _: owning.api.post(path), range(MOST_CREDENTIALS + 3)))
        made_here = sorted(made(each)["client_id"] for each in answers)
        newest = owning.get_in(one["id"])
        with Billfold(**{name: newest[name] for name in ("base_url", "client_id", "client_secret")}) as inside:
            own = inside.clients.create(
                CreateClient(token_endpoint_auth_method="client_secret_basic", scope="parties:read")
            )
            newest = owning.get_in(one["id"])
            states = {each.id: each.state for each in inside.clients.list()}
        assert states[own.id] == "active"
        former = sorted(client_id for client_id, state in states.items() if state == "disabled")
        assert (former, len(states)) == (made_here[:5], MOST_CREDENTIALS + 6)
        assert token_answer(newest).status_code == 200
        actions = {"object_id": one["id"], "action": "partner_sandbox.credentials_disabled", "limit": 100}
        told = owning.bank.get("/v1/audit-records", params=actions).json()["data"]
        assert sorted(each["facts"]["client_id"] for each in told) == former
        assert owning.api.delete(f"{owning.path}/{one['id']}").status_code == 204
        until(404, lambda: owning.api.get(f"{owning.path}/{one['id']}"))

    def test_is_not_used_before_it_is_ready(self, owning: Owning, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody gets in or resets it before; but it can be removed while it is made, and no tenant is left behind."""
        tenants, may_go = owning.live.services.tenants, threading.Event()
        apply = tenants.apply

        async def apply_later(*given: Any, **named: Any) -> Any:
            await asyncio.to_thread(may_go.wait, DEADLINE_S)
            return await apply(*given, **named)

        # However long this machine stands still meanwhile, it isn't made before all has been asked.
        monkeypatch.setattr(tenants, "apply", apply_later)
        one = owning.make()
        path = f"{owning.path}/{one['id']}"
        for what in ("credentials", "reset"):
            answer = owning.api.post(f"{path}/{what}", json={})
            assert (answer.status_code, answer.json()["code"]) == (409, "partner_sandbox_state_refuses")
        assert owning.api.delete(path).status_code == 204
        may_go.set()
        until(404, lambda: owning.api.get(path))
        key = ids.decode(Prefix.PARTNER_SANDBOX, one["id"])
        alpha = owning.live.run(owning.live.services.registry.get("alpha"))
        assert owning.live.run(owning.live.services.tenants.sandbox_of(alpha.id, key)) is None


def owning_name(slug: str) -> str:
    """Return what a slug tells of whose it is."""
    name, _, chance = slug.rpartition("-")
    assert len(chance) == 8
    return name


class TestAPartner:
    def test_has_no_more_than_the_manifest_says_and_each_name_once(self, world: World) -> None:
        """Three by default, counted also where several are asked for; a key repeats the answer."""
        some = Owning(world)
        key = {"Idempotency-Key": secrets.token_hex(16)}
        body = {"name": "one", "seeded": False}
        first, again = (some.api.post(some.path, json=body, headers=key) for _ in range(2))
        assert made(first)["id"] == again.json()["id"]
        taken = some.api.post(some.path, json=body)
        assert (taken.status_code, taken.json()["code"]) == (409, "partner_sandbox_name_taken")
        kept = [some.make()["id"] for _ in range(2)]
        full = some.api.post(some.path, json={"name": "four"})
        assert (full.status_code, full.json()["facts"]) == (409, {"most": 3})
        for each in [made(first)["id"], *kept]:
            assert some.api.delete(f"{some.path}/{each}").status_code == 204
        some.api.close()

    def test_finds_nobody_elses(self, world: World, owning: Owning, sandbox: dict[str, Any]) -> None:
        """Another partner's sandbox isn't there, whosever path it is asked for under."""
        other = Owning(world)
        for path in (owning.path, other.path):
            one = f"{path}/{sandbox['id']}"
            for method, address in (
                ("GET", one),
                ("POST", f"{one}/reset"),
                ("POST", f"{one}/credentials"),
                ("DELETE", one),
            ):
                body: dict[str, Any] | None = {} if address.endswith("reset") else None
                assert other.api.request(method, address, json=body).status_code == 404, (method, address)
        assert other.api.get(owning.path).status_code == 404
        assert other.api.post(owning.path, json={"name": "x"}).status_code == 404
        other.api.close()

    def test_is_shut_out_of_them_while_it_is_suspended(self, owning: Owning, sandbox: dict[str, Any]) -> None:
        """Its sandboxes are closed with it and opened again; what operators have closed stays so."""
        credentials = owning.get_in(sandbox["id"])
        assert token_answer(credentials).status_code == 200
        assert owning.bank.post(f"/v1/partners/{owning.id}/suspend").status_code == 200
        until(403, lambda: token_answer(credentials))
        refused = owning.bank.post(f"{owning.path}/{sandbox['id']}/credentials")
        assert (refused.status_code, refused.json()["facts"]) == (409, {"state": "suspended"})
        assert owning.bank.post(f"/v1/partners/{owning.id}/resume").status_code == 200
        until(200, lambda: token_answer(credentials))

    def test_is_shut_out_of_what_operators_resume_meanwhile(self, owning: Owning) -> None:
        """A sandbox that operators held when its partner was suspended opens with the partner, and not before."""
        one = owning.ready(owning.make()["id"])
        live, slug = owning.live, one["base_url"].rpartition("/")[2]
        tenants = live.services.tenants
        live.run(tenants.suspend(slug, reason="test"))
        assert owning.bank.post(f"/v1/partners/{owning.id}/suspend").status_code == 200
        resumed = live.run(tenants.resume(slug, reason="test"))
        assert (resumed.state, resumed.closed) == ("suspended", True)
        assert owning.bank.post(f"/v1/partners/{owning.id}/resume").status_code == 200
        deadline = time.monotonic() + DEADLINE_S
        while live.run(tenants.get(slug)).state != "active":
            assert time.monotonic() < deadline, "it stays closed"
            time.sleep(0.05)
        assert owning.api.delete(f"{owning.path}/{one['id']}").status_code == 204
        until(404, lambda: owning.api.get(f"{owning.path}/{one['id']}"))

    def test_doesnt_get_round_what_operators_have_suspended(self, owning: Owning) -> None:
        """Such a sandbox is neither opened with its partner nor reset or removed, at the request or by a job."""
        one = owning.ready(owning.make()["id"])
        slug, path = one["base_url"].rpartition("/")[2], f"{owning.path}/{one['id']}"
        live, key = owning.live, ids.decode(Prefix.PARTNER_SANDBOX, one["id"])
        tenants, alpha = live.services.tenants, live.run(live.services.registry.get("alpha"))
        # Closed with its partner first, it is the operators' from their word on.
        live.run(tenants.close_sandbox(live.run(tenants.get(slug)), closed=True, caller=SYSTEM))
        was_closed = live.run(tenants.get(slug))
        assert (was_closed.state, was_closed.closed) == ("suspended", True)
        live.run(tenants.suspend(slug, reason="test"))
        live.run(tenants.close_sandbox(was_closed, closed=False, caller=SYSTEM))
        live.run(tenants.close_sandbox(was_closed, closed=True, caller=SYSTEM))
        assert live.run(tenants.get(slug)).is_held
        for answer in (owning.api.post(f"{path}/reset", json={}), owning.api.delete(path)):
            assert (answer.status_code, answer.json()["code"]) == (409, "partner_sandbox_state_refuses")
            assert answer.json()["facts"] == {"state": "suspended"}
        for state in ("resetting", "removing"):
            live.run(ask(live, key, state))
            live.run(carry_out(live.services, alpha, key))
            assert owning.bank.get(path).json()["state"] == "ready"
            assert live.run(tenants.get(slug)).is_held
        live.run(tenants.resume(slug, reason="test"))
        assert owning.api.delete(path).status_code == 204
        until(404, lambda: owning.api.get(path))


class TestAProgramThatIsDisabledWhileItGetsIn:
    def test_is_told_no_secret(self, world: World, owning: Owning, sandbox: dict[str, Any]) -> None:
        """The client may have been made by then, but nobody knows by what it is let in."""
        body = {**SECRET, "scope": " ".join(SCOPES), "partner_id": owning.id}
        client = made(world.bank.post("/v1/clients", json=body))
        slug = owning.get_in(sandbox["id"])["base_url"].rpartition("/")[2]

        async def shut_out(api: httpx.Client) -> httpx.Response:
            services, loop = world.live.services, asyncio.get_running_loop()
            path = f"{owning.path}/{sandbox['id']}/credentials"
            async with services.database.tx(await services.registry.get(slug)) as tx:
                # Whoever makes a client of the sandbox waits for its turn.
                await find_surplus(tx, "partner", 0)
                answer: Any = loop.run_in_executor(None, api.post, path)
                await until_waited_for(tx, answer)
                disabled = partial(world.bank.post, f"/v1/clients/{client['id']}/disable")
                assert (await loop.run_in_executor(None, disabled)).status_code == 200
            told: httpx.Response = await answer
            return told

        with as_client(world.live, Credentials(client["id"], client["client_secret"])) as api:
            answer = world.live.run(shut_out(api))
        assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied"), answer.text


class TestATenant:
    def test_reaches_no_other_tenant_by_what_stands_in_its_tables(self, live: LiveServer, owning: Owning) -> None:
        """Whatever id somebody has smuggled into a bank's table, the platform knows no other tenant by it there."""
        live.add_tenant(manifest("smuggler"))
        one = owning.ready(owning.make()["id"])
        key = ids.decode(Prefix.PARTNER_SANDBOX, one["id"])
        with live.client("smuggler") as smuggler:
            partner = made(smuggler.post("/v1/partners", json={"name": "x"}))["id"]
            theirs = ids.decode(Prefix.PARTNER, partner)
            live.run(smuggle(live, key, theirs))
            path = f"/v1/partners/{partner}/sandboxes/{one['id']}"
            answer = smuggler.post(f"{path}/credentials")
            assert (answer.status_code, answer.json()["facts"]) == (409, {"state": "missing"})
            assert smuggler.delete(path).status_code == 204
            until(404, lambda: smuggler.get(path))
        assert token_answer(owning.get_in(one["id"])).status_code == 200
        assert owning.api.delete(f"{owning.path}/{one['id']}").status_code == 204

    def test_is_never_taken_over_as_a_sandbox(self, live: LiveServer) -> None:
        """A tenant that stands there isn't changed because somebody's sandbox would have its slug, nor made ready."""
        owner = Owner(
            tenant_id=live.run(live.services.registry.get("alpha")).id, partner_id=UUID(int=1), sandbox_id=UUID(int=2)
        )
        for _ in range(2):
            with pytest.raises(errors.TenantExists):
                taken = manifest("beta", name="Taken", isolation="login")
                live.run(live.services.tenants.apply(taken, owner=owner))
        assert live.run(live.services.tenants.get("beta")).manifest.name != "Taken"
        assert not live.run(may_log_in(live, "beta"))

    def test_takes_its_partners_sandboxes_with_it(self, live: LiveServer) -> None:
        """Who deletes a bank deletes the sandboxes of its partners; what is cut short is finished by the command."""
        live.add_tenant(manifest("leaving"))
        with live.client("leaving") as bank:
            partner = made(bank.post("/v1/partners", json={"name": "x"}))["id"]
            one = made(bank.post(f"/v1/partners/{partner}/sandboxes", json={"name": "x", "seeded": False}))
        key = ids.decode(Prefix.PARTNER_SANDBOX, one["id"])
        leaving = live.run(live.services.registry.get("leaving"))
        opened = partial(open_services, live.services.settings)
        done = CliRunner().invoke(commands.sandbox, ["carry-out", "--json"], obj=opened)
        assert done.exit_code == 0, done.output
        assert live.run(live.services.tenants.sandbox_of(leaving.id, key)) is not None
        live.run(leave(live, leaving.id))
        assert live.run(live.services.tenants.sandboxes_of(leaving.id)) == []
        with pytest.raises(errors.UnknownTenant):
            live.run(live.services.tenants.get(one["base_url"].rpartition("/")[2]))


async def may_log_in(live: LiveServer, slug: str) -> bool:
    """Tell whether a tenant's role has a way into the database of its own."""
    role = (await live.services.registry.get(slug)).runtime_role
    async with live.services.database.platform_tx() as tx:
        found: bool = await tx.fetchval("SELECT rolcanlogin FROM pg_catalog.pg_roles WHERE rolname = $1", role)
        return found


async def ask(live: LiveServer, sandbox_id: UUID, state: str) -> None:
    """Ask for something, as who was quicker than operators would have."""
    async with live.services.database.tx(await live.services.registry.get("alpha")) as tx:
        await tx.execute("UPDATE partner_sandboxes SET state = $2 WHERE id = $1", sandbox_id, state)


async def smuggle(live: LiveServer, sandbox_id: UUID, partner_id: UUID) -> None:
    """Write another bank's sandbox into a tenant's own table, as who has got into that tenant could."""
    async with live.services.database.tx(await live.services.registry.get("smuggler")) as tx:
        columns = "id, partner_id, name, state, step, seeded, version, created_at, updated_at"
        values = "$1, $2, 'x', 'ready', 'done', false, 1, now(), now()"
        await tx.execute(
            f"INSERT INTO partner_sandboxes ({columns}) VALUES ({values})",  # noqa: S608 - constants
            sandbox_id,
            partner_id,
        )


async def leave(live: LiveServer, tenant_id: UUID) -> None:
    """Delete a tenant."""
    await live.services.tenants.suspend("leaving", reason="test")
    await live.services.rooms["background"].leave(tenant_id)
    await live.services.tenants.delete("leaving", confirm="leaving")


class TestWhatMayBeAsked:
    def test_has_an_answer_for_every_state(self) -> None:
        """What is under way is never reset, and everything can be removed."""
        for state in PartnerSandboxState:
            assert owned_rules.TRANSITIONS[state, "remove"] is PartnerSandboxState.REMOVING
            assert ((state, "reset") in owned_rules.TRANSITIONS) == (state is PartnerSandboxState.READY)

    def test_names_a_tenant_within_the_length_of_slugs(self) -> None:
        """However long the bank's name is; another sandbox has another one."""
        one, other = (owned_rules.slug_of("b" * 40, ids.uuid7()) for _ in range(2))
        assert (len(one), one != other) == (40, True)
