"""Users by API, SDK and command line."""

import json
import secrets
from collections.abc import Sequence
from functools import partial
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from billfold import Billfold, errors
from billfold_server.app import open_services
from billfold_server.people import commands
from tests.live import LiveServer
from tests.server.people.persons import Person, enrol


@pytest.fixture
def client(live: LiveServer) -> Any:
    """A client of alpha that may manage users."""
    with live.client("alpha", ["users:read", "users:write", "parties:write", "events:read", "audit:read"]) as opened:
        yield opened


def staff(**changes: Any) -> dict[str, Any]:
    """Return a request for a member of staff."""
    name = f"grace.{secrets.token_hex(4)}"
    return {"login_realm": "staff", "login_name": name, "display_name": "Grace Hopper", "roles": ["auditor"], **changes}


class TestCreatingAUser:
    def test_makes_somebody_who_can_enrol(self, live: LiveServer, client: httpx.Client) -> None:
        """They are invited, and active once they have enrolled by their code."""
        body = staff(login_name=f"Grace.{secrets.token_hex(4)}", language="de")
        made = client.post("/v1/users", json=body)
        assert made.status_code == 201
        user = made.json()
        assert made.headers["location"].endswith(f"/v1/users/{user['id']}")
        assert (user["state"], user["factors"], user["login_name"]) == ("invited", [], body["login_name"].lower())
        code = client.post(f"/v1/users/{user['id']}/enrolment-codes").json()
        enrol(Person(live, "alpha", "/auth/staff", user_id=user["id"], name=user["login_name"], enrolment=code["code"]))
        user = client.get(f"/v1/users/{user['id']}").json()
        assert (user["state"], user["factors"]) == ("active", ["password", "totp"])
        (listed,) = client.get("/v1/users", params={"login_name": body["login_name"]}).json()["data"]
        assert listed == user

    @pytest.mark.parametrize(
        ("change", "status", "code"),
        [
            ({"login_realm": "psu", "roles": []}, 422, "user_invalid"),
            ({"login_realm": "psu", "party_id": "par_01m7w9tnzcejq9b78b81gh4nmw", "roles": []}, 404, "not_found"),
            ({"party_id": "par_01m7w9tnzcejq9b78b81gh4nmw"}, 422, "user_invalid"),
            ({"login_realm": "operator"}, 400, "validation_failed"),
            ({"roles": ["king"]}, 400, "validation_failed"),
            ({"password": "x"}, 400, "validation_failed"),
        ],
    )
    def test_is_refused_by_reason(self, client: httpx.Client, change, status: int, code: str) -> None:
        """What contradicts itself is told apart from what isn't of the form."""
        answer = client.post("/v1/users", json=staff(**change))
        assert (answer.status_code, answer.json()["code"]) == (status, code)

    def test_takes_each_name_once_in_a_realm(self, client: httpx.Client) -> None:
        """In whatever case, and whatever nobody sees in it; a customer may have the name of a member of staff."""
        body = staff()
        name = body["login_name"]
        assert client.post("/v1/users", json=body).status_code == 201
        for alike in (name.upper(), f"{name[:3]}\u200b{name[3:]}\ufeff", f"\u2066{name}\u2069"):
            again = client.post("/v1/users", json={**body, "login_name": alike})
            assert (again.status_code, again.json()["code"]) == (409, "login_name_taken"), alike
        party = client.post("/v1/parties", json={"kind": "person", "name": "Grace"}).json()["id"]
        customer = {**body, "login_realm": "psu", "party_id": party, "roles": []}
        assert client.post("/v1/users", json=customer).status_code == 201

    def test_tells_others_nothing_personal(self, client: httpx.Client) -> None:
        """Events and audit records hold ids, and neither names nor codes."""
        body = staff(display_name="Zebulon Quux")
        user = client.post("/v1/users", json=body).json()
        code = client.post(f"/v1/users/{user['id']}/enrolment-codes").json()["code"]
        records = client.get("/v1/audit-records", params={"object_id": user["id"]}).text
        events, after = "", 0
        while user["id"] not in events:
            page = client.get("/v1/events", params={"type": "user.created", "limit": 100, "after": after}).json()[
                "data"
            ]
            assert page, "the event isn't there"
            events, after = events + json.dumps(page), page[-1]["sequence"]
        assert user["id"] in records
        assert not any(word in records + events for word in ("Zebulon", body["login_name"], code))


class TestTheSdk:
    def test_manages_users(self, live: LiveServer) -> None:
        """Create, invite, disable, enable, unlock, sign out and list, by the client's own methods."""
        made = live.add_client("alpha", ["users:read", "users:write"])
        url = live.base("alpha")
        with Billfold(base_url=url, client_id=made.client_id, client_secret=made.secret) as billfold:
            user = billfold.users.create(
                login_realm="staff", login_name=f"ada.{secrets.token_hex(4)}", display_name="Ada", roles=["owner"]
            )
            assert billfold.users.invite(user.id).code
            assert billfold.users.disable(user.id).state == "disabled"
            with pytest.raises(errors.UserStateRefuses):
                billfold.users.invite(user.id)
            assert billfold.users.enable(user.id).state == "invited"
            assert billfold.users.unlock(user.id).locked_until is None
            assert billfold.users.sign_out(user.id).sessions == 0
            assert user.id in {each.id for each in billfold.users.list(login_realm="staff", state="invited")}
            assert billfold.users.get(user.id).display_name == "Ada"


class TestTheCommandLine:
    def test_makes_the_first_owner_and_the_first_operator(self, live: LiveServer) -> None:
        """Each gets a link, and can be listed, disabled and enabled."""

        def run(*arguments: str) -> Any:
            opened = partial(open_services, live.services.settings)
            result: Result = CliRunner().invoke(commands.users, [*arguments, "--json"], obj=opened)
            assert result.exit_code == 0, result.output + str(result.exception)
            return json.loads(result.stdout)

        name = f"first.{secrets.token_hex(4)}"
        owner = run("create", name, "--name", "Ada", "--staff", "--role", "owner", "--tenant", "alpha")
        assert owner["url"].startswith(f"{live.base('alpha')}/auth/staff/enrol?code=")
        operator = run("create", name, "--name", "Grace", "--platform")
        assert operator["url"].startswith(f"{live.base(None)}/auth/enrol?code=")
        for made, where in ((owner, ("--tenant", "alpha")), (operator, ("--platform",))):
            assert run("invite", made["user_id"], *where)["code"] != made["code"]
            for change in ("disable", "enable", "unlock", "sign-out"):
                assert run(change, made["user_id"], *where)["done"] == change
            (listed,) = [each for each in run("list", *where) if each["id"] == made["user_id"]]
            assert (listed["login_name"], listed["state"]) == (name, "invited")

    @pytest.mark.parametrize(
        ("arguments", "param"),
        [
            (("ada", "--name", ""), "display_name"),
            (("ada", "--name", "A" * 501), "display_name"),
            (("ada", "--name", "Ada\N{RIGHT-TO-LEFT OVERRIDE}"), "display_name"),
            (("ada", "--name", "Ada", "--party", "ada"), "party_id"),
            (("a", "--name", "Ada"), "login_name"),
            (("ada", "--name", "Ada\udcff"), "body"),
        ],
    )
    def test_holds_what_is_typed_to_what_the_api_takes(self, arguments: Sequence[str], param: str) -> None:
        """It is refused before anything is opened, and stored by no other rules."""
        result = CliRunner().invoke(commands.users, ["create", *arguments, "--tenant", "alpha"], obj=None)
        assert isinstance(result.exception, errors.ValidationFailed | errors.MalformedBody)
        assert result.exception.param == param

    @pytest.mark.parametrize("more", [(), ("--role", "owner")], ids=["nothing", "a role"])
    def test_asks_whose_login_it_is(self, more: Sequence[str]) -> None:
        """By the names of the options that say so, before anything is opened."""
        result = CliRunner().invoke(commands.users, ["create", "ada", "--name", "Ada", "--tenant", "alpha", *more])
        assert (result.exit_code, "--party" in result.output, "--staff" in result.output) == (2, True, True)

    @pytest.mark.parametrize("more", [("--staff",), ("--role", "owner"), ("--party", "pty_1")], ids=" ".join)
    def test_gives_an_operator_nothing_of_a_tenant_s(self, more: Sequence[str]) -> None:
        """Who believes to have made an owner of some bank would else have made an operator of all of them."""
        arguments = ["create", "ada", "--name", "Ada", "--platform", *more]
        result = CliRunner().invoke(commands.users, arguments, obj=None)
        assert (result.exit_code, "operator of the platform" in result.output) == (2, True)

    def test_has_a_command_for_each_order(self) -> None:
        """What the API can be told, the command line can be told as well."""
        assert set(commands.users.commands) == {
            "create", "invite", "list", "disable", "enable", "unlock", "sign-out",
        }  # fmt: skip
