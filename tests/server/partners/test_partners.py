"""Partner organisations by API, SDK and command line, and what becomes of their people and programs."""

import json
import secrets
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import httpx
import pytest
from click.testing import CliRunner, Result

from billfold import Billfold, errors, ids
from billfold.contract.clients import CreateClient
from billfold.contract.partners import PartnerState, UpdatePartner
from billfold.contract.platform import Event
from billfold_server.app import open_services
from billfold_server.http.routing import Call
from billfold_server.identity import commands as client_commands
from billfold_server.identity.service import GIVEABLE_SCOPES
from billfold_server.partners import commands, service
from billfold_server.partners.rules import OF_BANK
from billfold_server.people.roles import PARTNER_ROLES, allowed_to_member
from billfold_server.portal.viewers import Viewer
from billfold_server.webhooks.rules import concerns
from tests.callers import CALLER
from tests.live import Credentials, LiveServer
from tests.server.partners.worlds import OWN, SECRET, Side, World, as_client, made, member_of, until
from tests.server.people.persons import Person, enrol


@pytest.fixture(scope="module")
def billfold(live: LiveServer) -> Any:
    """The bank's own program."""
    made = live.add_client("alpha")
    with Billfold(base_url=live.base("alpha"), client_id=made.client_id, client_secret=made.secret) as client:
        yield client


@pytest.fixture(scope="module")
def side(world: World) -> Side:
    """A partner to which things happen."""
    return Side(world.bank, partner=True)


class TestAPartner:
    def test_is_made_changed_and_listed(self, billfold: Billfold) -> None:
        """The SDK does what the operations do; an external id is taken once, and what isn't given stays."""
        own = secrets.token_hex(6)
        partner = billfold.partners.create(name="Shop", external_id=own, client_scopes=["wallets:read"])
        with pytest.raises(errors.PartnerExternalIdTaken):
            billfold.partners.create(name="Shop", external_id=own)
        changed = billfold.partners.update(partner.id, name="Shops", if_match=partner.version)
        assert (changed.name, changed.external_id, changed.version) == ("Shops", own, 2)
        with pytest.raises(errors.PreconditionFailed):
            billfold.partners.update(partner.id, name="Stores", if_match=partner.version)
        assert [each.id for each in billfold.partners.list(external_id=own)] == [partner.id]
        assert billfold.partners.get(partner.id) == changed
        records = [each.action for each in billfold.audit_records.list(object_id=partner.id)]
        assert records == ["partner.updated", "partner.created"]

    @pytest.mark.parametrize("scope", [*sorted(OF_BANK), "nothing:there"])
    def test_is_given_nothing_that_is_the_banks(self, billfold: Billfold, scope: str) -> None:
        """People, approvals, audit and keys are no partner's, whoever gives them."""
        with pytest.raises(errors.PartnerInvalid) as refused:
            billfold.partners.create(name="Shop", client_scopes=[scope])
        assert refused.value.param == "client_scopes"

    def test_is_given_no_more_than_who_gives_it_has(self, live: LiveServer) -> None:
        """Whoever lets partners in can't give away what isn't theirs."""
        with live.client("alpha", ["partners:write", "wallets:read"]) as client:
            answer = client.post("/v1/partners", json={"name": "x", "client_scopes": ["transfers:write"]})
            assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
            assert client.post("/v1/partners", json={"name": "x", "client_scopes": ["wallets:read"]}).is_success

    def test_has_clients_that_may_no_more_than_it(self, world: World, side: Side) -> None:
        """Beyond it nothing is registered, by whomever, and what it loses they lose with their tokens."""
        refused = world.bank.post("/v1/clients", json={"scope": "ledger:read", "partner_id": side.partner["id"]})
        assert (refused.status_code, refused.json()["param"]) == (422, "scope")
        staff = {"scope": "wallets:read", "partner_id": side.partner["id"], "login_realm": "staff"}
        refused = world.bank.post("/v1/clients", json=staff)
        assert (refused.status_code, refused.json()["param"]) == (422, "login_realm")
        with as_client(world.live, side.credentials) as client:
            assert client.get("/v1/wallets").status_code == 200
            less = [each for each in OWN if each != "wallets:read"]
            world.bank.patch(f"/v1/partners/{side.partner['id']}", json={"client_scopes": less})
            until(403, lambda: client.get("/v1/wallets"))
            shown = client.get(f"/v1/clients/{side.client['id']}").json()
        assert (shown["scope"].split(), shown["version"]) == (sorted(less), 2)
        world.bank.patch(f"/v1/partners/{side.partner['id']}", json={"client_scopes": OWN})

    def test_changes_nothing_of_itself(self, world: World) -> None:
        """No scope by which partners are managed is ever one of a partner's client."""
        path = f"/v1/partners/{world.one.partner['id']}"
        for answer in (world.api.post(f"{path}/suspend"), world.api.patch(path, json={"name": "Mine"})):
            assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")

    def test_that_is_suspended_is_out_at_once(self, world: World, side: Side) -> None:
        """Its clients' tokens, its members' sessions and its endpoints: all by its one state, and back again by it."""
        browser = member_of(world, side).sign_in()
        path = f"/v1/partners/{side.partner['id']}"
        with as_client(world.live, side.credentials) as client:
            assert client.get(path).status_code == 200
            assert browser.get("/account").status_code == 200
            suspended = world.bank.post(f"{path}/suspend").json()
            assert suspended["state"] == world.bank.post(f"{path}/suspend").json()["state"] == "suspended"
            until(401, lambda: client.get(path))
            form = {"grant_type": "client_credentials"}
            token = f"{world.live.base('alpha')}/oauth/token"
            auth = (side.credentials.client_id, side.credentials.secret)
            assert httpx.post(token, data=form, auth=auth).json()["error"] == "invalid_client"
            assert browser.get("/account").headers["location"].endswith("/auth/partner/sign-in")
            # What happens meanwhile is kept for its endpoints, and tried once it is back.
            assert self._replayed(world, side)["next_attempt_at"] is None
            assert world.bank.post(f"{path}/resume").json()["state"] == "active"
            until(200, lambda: client.get(path))
            assert browser.get("/account").status_code == 200
        assert self._delivery(world, side)["next_attempt_at"] or self._delivery(world, side)["attempts"]
        events = world.bank.get("/v1/events", params={"type": "partner.suspended", "limit": 100}).json()["data"]
        assert [each["data"]["state"] for each in events if each["object_id"] == side.partner["id"]] == ["suspended"]

    def _replayed(self, world: World, side: Side) -> Any:
        world.bank.post("/v1/products", json={"name": "x", "type": "other", "description": "x"})
        world.bank.post(f"/v1/webhook-endpoints/{side.endpoint['id']}/replay", json={})
        return self._delivery(world, side)

    def _delivery(self, world: World, side: Side) -> Any:
        query = {"webhook_endpoint_id": side.endpoint["id"]}
        return world.bank.get("/v1/webhook-deliveries", params=query).json()["data"][-1]


class TestAMember:
    def test_signs_in_where_partners_do_and_nowhere_else(self, world: World) -> None:
        """Name and password open nothing at the sign-ins of staff and customers, and neither does the session."""
        person = member_of(world, world.one)
        browser = person.sign_in()
        assert "Ada Lovelace" in browser.get("/account").text
        for root in ("/auth/staff", "/auth"):
            browser.base_url = httpx.URL(world.live.base("alpha") + root)
            assert browser.get("/account").headers["location"].endswith("/sign-in")
            elsewhere = person.browser()
            elsewhere.base_url = browser.base_url
            answer = elsewhere.submit(person.give_password(elsewhere), "/sign-in/code", code=person.code())
            assert answer.status_code == 422

    def test_does_something_else_from_the_next_request_on(self, world: World, billfold: Billfold) -> None:
        """A role takes the place of the one before, and others are told of it without a name."""
        members, partner = billfold.partners.members, world.one.partner["id"]
        member = members.create(partner, login_name=f"x.{secrets.token_hex(4)}", display_name="Zeno", role="viewer")
        assert (member.partner_id, member.partner_role, member.roles) == (partner, "viewer", [])
        assert members.set_role(partner, member.id, "admin").partner_role == "admin"
        events = [
            each for each in billfold.events.list(type="user.partner_role_changed") if each.object_id == member.id
        ]
        assert [each.data["partner_role"] for each in events] == ["admin"]
        assert "Zeno" not in str(events)
        assert member.id in {each.id for each in members.list(partner)}
        assert members.get(partner, member.id).version == 2

    def test_is_forgotten_once_removed(self, world: World, billfold: Billfold) -> None:
        """They are signed out for good and in no list, nothing brings them back, and their name is free again."""
        person, partner = member_of(world, world.one), world.one.partner["id"]
        browser = person.sign_in()
        billfold.partners.members.remove(partner, person.user_id)
        assert browser.get("/account").headers["location"].endswith("/sign-in")
        assert person.user_id not in {each.id for each in billfold.partners.members.list(partner)}
        for gone in (billfold.partners.members.get, billfold.partners.members.invite, billfold.partners.members.remove):
            with pytest.raises(errors.NotFound):
                gone(partner, person.user_id)
        for back in (billfold.users.enable, billfold.users.invite):
            with pytest.raises(errors.NotFound):
                back(person.user_id)
        assert billfold.users.get(person.user_id).display_name == "-"
        again = billfold.partners.members.create(
            partner, login_name=person.name, display_name="Ada Lovelace", role="viewer"
        )
        assert again.id != person.user_id

    def test_is_made_by_the_partners_own_program(self, world: World) -> None:
        """Whoever acts for a partner invites its people, each name once among all partners, and never by /v1/users."""
        members = f"/v1/partners/{world.one.partner['id']}/members"
        body = {"login_name": f"own.{secrets.token_hex(4)}", "display_name": "Own", "role": "developer"}
        user = made(world.api.post(members, json=body))["id"]
        assert "/auth/partner/enrol?code=" in made(world.api.post(f"{members}/{user}/enrolment-codes"))["url"]
        other = world.bank.post(f"/v1/partners/{world.other.partner['id']}/members", json=body)
        assert (other.status_code, other.json()["code"]) == (409, "login_name_taken")
        user = {"login_realm": "partner", "login_name": "x.y", "display_name": "x"}
        assert world.bank.post("/v1/users", json=user).json()["code"] == "user_invalid"

    def test_keeps_an_invitation_that_was_opened_while_the_partner_was_out(self, world: World, side: Side) -> None:
        """The link does nothing then, and is as good as before once the partner is let in again."""
        partner, user = side.partner["id"], side.member["id"]
        code = made(world.bank.post(f"/v1/partners/{partner}/members/{user}/enrolment-codes"))["code"]
        person = Person(
            world.live, "alpha", "/auth/partner", user_id=user, name=side.member["login_name"], enrolment=code
        )
        assert world.bank.post(f"/v1/partners/{partner}/suspend").status_code == 200
        browser = person.browser()
        refused = browser.submit(browser.get("/enrol", params={"code": code}), "/enrol")
        assert refused.status_code == 422
        assert world.bank.post(f"/v1/partners/{partner}/resume").status_code == 200
        enrol(person)

    def test_loses_a_form_with_the_role_that_it_took(self, world: World, side: Side) -> None:
        """What a page has looked at is looked at again by whatever changes something, in its own transaction."""

        async def try_both() -> None:
            tenant = await world.live.services.registry.get("alpha")
            seen = Viewer(user_id=user_id, session_id=session_id, name="x", scopes=frozenset(scopes))
            call = Call(
                services=world.live.services,
                caller=CALLER,
                request_id="req_1",
                method="POST",
                path="/portal",
                headers={},
                base_url="",
                tenant_or_none=tenant,
            )
            async with seen.acting(call).tx():
                pass

        user_id, session_id = ids.decode(ids.Prefix.USER, side.member["id"]), ids.uuid7()
        world.live.run(add_session(world.live, user_id, session_id))
        scopes = {"partners:read"}
        world.live.run(try_both())
        scopes = {"partners:read", "members:write"}
        with pytest.raises(errors.PermissionDenied):
            world.live.run(try_both())

    def test_moves_no_money(self) -> None:
        """A member's rights are about the partner, and beyond that about what the partner has."""
        every = frozenset().union(*PARTNER_ROLES.values())
        assert not {"transfers:write", "holds:write", "ledger:write", "parties:read", "users:read"} & every
        own = {"clients:read", "clients:write", "members:read", "members:write", "partners:read"}
        own |= {"partner_sandboxes:read", "partner_sandboxes:write"}
        assert allowed_to_member(["admin"], ()) == own | {"requests:read", "tenant:read"}
        assert allowed_to_member(["developer"], every) < allowed_to_member(["admin"], every)
        assert all(scope.endswith(":read") for scope in allowed_to_member(["viewer"], every))
        assert allowed_to_member(["emperor"], every) == frozenset()


async def add_session(live: LiveServer, user_id: UUID, session_id: UUID) -> None:
    """Sign somebody in."""
    now = live.services.clock.now()
    async with live.services.database.tx(await live.services.registry.get("alpha")) as tx:
        await tx.execute(
            "INSERT INTO sessions (id, digest, user_id, stage, amr, acr, factor_ids, auth_time, last_seen_at, ends_at,"
            " device, created_at) VALUES ($1, $2, $3, 'signed_in', '{}', '?', '{}', $4, $4, $5, '?', $4)",
            session_id, secrets.token_bytes(32), user_id, now, now + timedelta(hours=1),
        )  # fmt: skip


class TestAnEvent:
    @pytest.mark.parametrize(
        ("type_", "data", "heard"),
        [
            ("transfer.posted", {}, True),
            ("user.created", {}, False),
            ("user.created", {"partner_id": "ptn_01m7w9tnzcejq9b78b81gh4nmb"}, False),
            ("approval.requested", {}, False),
            ("consent.authorised", {}, False),
            ("third_party.blocked", {}, False),
            ("users.imagined", {}, True),
        ],
    )
    def test_of_others_people_is_not_told(self, type_: str, data: dict[str, Any], heard: bool) -> None:  # noqa: FBT001
        """A partner's endpoint hears of the tenant's business, and of the people and endpoints that are its own."""
        now = datetime(2026, 11, 21, tzinfo=UTC)
        event = Event(id="evt_1", type=type_, object_id="x_1", sequence=1, version=1, data=data, occurred_at=now)
        partner = ids.uuid7()
        own = {**data, "partner_id": ids.encode(ids.Prefix.PARTNER, partner)}
        assert concerns(partner, event) is heard
        assert concerns(None, event)
        assert concerns(
            partner, Event(id="evt_1", type=type_, object_id="x", sequence=1, version=1, data=own, occurred_at=now)
        )


class TestAChangeOfAPartner:
    def test_asks_no_more_of_the_database_for_more_programs(self, world: World) -> None:
        """What follows for its clients and endpoints is done by sets, however many there are."""
        few, many = Side(world.bank, partner=True), Side(world.bank, partner=True)
        of = {"partner_id": many.partner["id"]}
        for _ in range(3):
            made(world.bank.post("/v1/clients", json={**SECRET, "scope": "wallets:read", **of}))
            body = {"url": "https://partner.example/more", "event_types": ["product.created"], **of}
            made(world.bank.post("/v1/webhook-endpoints", json=body))
        counts = [world.live.run(statements_of_change(world.live, each)) for each in (few, many)]
        assert counts[0] == counts[1]
        found = world.bank.get("/v1/clients", params=of).json()["data"]
        assert [each["scope"] for each in found] == [""] * 4


async def statements_of_change(live: LiveServer, side: Side) -> int:
    """Suspend a partner and take all from it, and return how many statements that takes."""
    sent: list[str] = []
    key = ids.decode(ids.Prefix.PARTNER, side.partner["id"])
    now = live.services.clock.now()
    async with live.services.database.tx(await live.services.registry.get("alpha")) as tx:
        with tx.connection.query_logger(lambda query: sent.append(query.query)):
            await service.set_state(tx, CALLER, key, PartnerState.SUSPENDED, real_now=now)
            await service.update(
                tx,
                CALLER,
                key,
                UpdatePartner(client_scopes=[]),
                known=GIVEABLE_SCOPES,
                check_version=lambda _: None,
                real_now=now,
            )
    return len(sent)


class TestTheCommandLine:
    def test_does_what_the_api_does(self, live: LiveServer) -> None:
        """Partners are made with all that partners may have, their clients and members with them, and suspended."""

        def run(group: Any, *arguments: str) -> Any:
            opened = partial(open_services, live.services.settings)
            arguments = (*arguments, "--tenant", "alpha", "--json")
            result: Result = CliRunner().invoke(group, arguments, obj=opened)
            assert result.exit_code == 0, result.output + str(result.exception)
            return json.loads(result.stdout)

        partner = run(commands.partners, "create", "Shop", "--scope", "all")
        assert "transfers:write" in partner["client_scopes"]
        assert not OF_BANK & set(partner["client_scopes"])
        client = run(client_commands.clients, "create", "--scope", "wallets:read", "--partner", partner["id"])
        named = (f"m.{secrets.token_hex(4)}", "--name", "M", "--role", "admin")
        invited = run(commands.partners, "invite", partner["id"], *named)
        assert invited["url"].startswith(f"{live.base('alpha')}/auth/partner/enrol?code=")
        (member,) = run(commands.partners, "members", partner["id"])
        assert member["id"] == invited["user_id"]
        less = run(commands.partners, "update", partner["id"], "--name", "Shops", "--scope", "tenant:read")
        assert (less["name"], less["client_scopes"]) == ("Shops", ["tenant:read"])
        with as_client(live, Credentials(client["client_id"], client["client_secret"])) as api:
            assert api.get("/v1/wallets").status_code == 403
        assert run(commands.partners, "suspend", partner["id"])["state"] == "suspended"
        assert run(commands.partners, "resume", partner["id"])["state"] == "active"
        assert run(commands.partners, "remove", partner["id"], member["id"])["done"] == "remove"
        assert partner["id"] in {each["id"] for each in run(commands.partners, "list")}

    @pytest.mark.parametrize(
        ("arguments", "param"),
        [
            (("create", ""), "name"),
            (("create", "Shop", "--scope", "Wallets"), "client_scopes[0]"),
            (("update", "ptn_1", "--name", "\N{ZERO WIDTH SPACE}"), "name"),
            (("invite", "ptn_1", "m m", "--name", "M", "--role", "admin"), "login_name"),
        ],
    )
    def test_holds_what_is_typed_to_what_the_api_takes(self, arguments: tuple[str, ...], param: str) -> None:
        """It is refused before anything is opened, and stored by no other rules."""
        result = CliRunner().invoke(commands.partners, [*arguments, "--tenant", "alpha"], obj=None)
        assert isinstance(result.exception, errors.ValidationFailed)
        assert result.exception.param == param


class TestACreatedClient:
    def test_keeps_its_partner_when_it_changes(self, world: World, billfold: Billfold) -> None:
        """To whom it belongs is settled when it is made."""
        partner = world.other.partner["id"]
        registration = CreateClient(
            token_endpoint_auth_method="client_secret_basic", scope="wallets:read", partner_id=partner
        )
        client = billfold.clients.create(registration)
        assert billfold.clients.disable(client.id).partner_id == partner
        assert billfold.clients.enable(client.id).partner_id == partner
        assert client.id in {each.id for each in billfold.clients.list(partner_id=partner)}
        billfold.clients.disable(client.id)
