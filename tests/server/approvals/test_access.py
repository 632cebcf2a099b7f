"""What hands out access waits for a second person: nobody becomes another alone, or acts on what they have lost."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from billfold import ids
from billfold.ids import Prefix
from billfold_server.http.routing import Call
from billfold_server.people.seconds import RE_ENROLMENT
from tests.callers import CALLER
from tests.live import Credentials, LiveServer
from tests.parties import create_party
from tests.server.approvals.waiting import waits
from tests.server.identity.flows import Person, add_app, add_person, tokens_of, tx_of
from tests.server.people.persons import a_person, enrol
from tests.tenants import manifest

SLUG = "four_eyes_on_access"
APPROVALS = {"always": ["roles", "re_enrolment", "client_keys", "wallet_unfreeze"]}
OWNER = ["users:read", "users:write", "clients:read", "clients:write", "approvals:read"]
APPROVER = ["approvals:read", "approvals:decide"]


class Member(httpx.Client):
    """Somebody on the staff, with a token of theirs."""

    def __init__(self, live: LiveServer, person: Person, scopes: list[str], slug: str = SLUG) -> None:
        app = add_app(live, slug, "client_secret_basic", login_realm="staff", scopes=scopes)
        token = tokens_of(app, person, scope=" ".join(scopes))["access_token"]
        super().__init__(base_url=live.base(slug), headers={"Authorization": f"Bearer {token}"}, timeout=30)
        self.live, self.person = live, person

    def order(self, path: str, body: Any = None) -> httpx.Response:
        """Post JSON under a key of its own, or nothing."""
        return self.post(path, json=body, headers={"Idempotency-Key": uuid4().hex}) if body else self.post(path)


@pytest.fixture(scope="module")
def bank(live: LiveServer) -> LiveServer:
    """A tenant that lets nobody hand out access alone."""
    live.add_tenant(manifest(SLUG, approvals=APPROVALS, rate_limit_per_s=100_000, rate_limit_burst=1_000_000))
    return live


@pytest.fixture(scope="module")
def owner(bank: LiveServer) -> Iterator[Member]:
    """Who may hand out access."""
    with Member(bank, add_person(bank, SLUG, roles=["owner"]), OWNER) as member:
        yield member


@pytest.fixture(scope="module")
def approver(bank: LiveServer) -> Iterator[Member]:
    """Who agrees, or doesn't."""
    with Member(bank, add_person(bank, SLUG, roles=["approver"]), APPROVER) as member:
        yield member


def approve(approver: Member, approval_id: str) -> httpx.Response:
    """Agree to what waits."""
    return approver.post(f"/v1/approvals/{approval_id}/approve", json={})


class TestAnOwner:
    def test_makes_no_member_of_staff_alone(self, owner: Member, approver: Member) -> None:
        """A second self with other roles would be a second person of one's own."""
        body = {"login_realm": "staff", "login_name": f"x.{uuid4().hex}", "display_name": "X", "roles": ["approver"]}
        decided = approve(approver, waits(owner.order("/v1/users", body))).json()
        assert (decided["outcome_status"], decided["outcome"]["roles"]) == (201, ["approver"])
        # Customers move nothing of others'.
        assert "approval_required" not in owner.order("/v1/users", body | {"login_realm": "psu", "roles": []}).text

    def test_gives_no_customer_another_sign_in_alone(self, bank: LiveServer, owner: Member, approver: Member) -> None:
        """Whoever has one may do all that the customer may, without beginning anew in the customer's place."""
        party = bank.run(_made_party(bank))
        body = {"login_realm": "psu", "display_name": "Ada Lovelace", "party_id": party}
        first = owner.order("/v1/users", body | {"login_name": f"x.{uuid4().hex}"})
        assert first.status_code == 201, first.text
        approval_id = waits(owner.order("/v1/users", body | {"login_name": f"x.{uuid4().hex}"}))
        decided = approve(approver, approval_id).json()
        assert (decided["kind"], decided["outcome_status"]) == ("re_enrolment", 201)

    def test_gives_nobody_roles_alone_and_never_themselves(
        self, bank: LiveServer, owner: Member, approver: Member
    ) -> None:
        """What somebody may follows their roles within a second; one's own roles stay what others made them."""
        member = add_person(bank, SLUG, roles=["support"])
        path = f"/v1/users/{ids.encode(Prefix.USER, member.user_id)}/roles"
        decided = approve(approver, waits(owner.order(path, {"roles": ["operator"]}))).json()
        assert decided["outcome"]["roles"] == ["operator"]
        own = f"/v1/users/{ids.encode(Prefix.USER, owner.person.user_id)}/roles"
        decided = approve(approver, waits(owner.order(own, {"roles": ["owner", "operator"]}))).json()
        assert (decided["outcome_status"], decided["outcome"]["code"]) == (403, "permission_denied")

    @pytest.mark.parametrize("realm", ["staff", "psu"])
    def test_lets_nobody_begin_anew_alone(self, bank: LiveServer, owner: Member, approver: Member, realm: str) -> None:
        """The code is made once, when its maker asks again after a second person has agreed; nobody else sees it."""
        person = a_person(bank, SLUG, realm=realm, roles=("operator",) if realm == "staff" else ())
        path = f"/v1/users/{person.user_id}/enrolment-codes"
        # Who has never enrolled has nothing to lose.
        person.enrolment = owner.order(path).json()["code"]
        enrol(person)
        approval_id = waits(owner.order(path))
        assert waits(owner.order(path)) == approval_id
        with Member(bank, add_person(bank, SLUG, roles=["owner"]), OWNER) as another:
            assert waits(another.order(path)) != approval_id
            decided = approve(approver, approval_id).json()
            assert (decided["status"], decided["outcome"]) == ("approved", None)
            waits(another.order(path))
        made = owner.order(path)
        assert made.status_code == 201, made.text
        assert made.json()["code"] not in owner.get(f"/v1/approvals/{approval_id}").text
        assert waits(owner.order(path)) != approval_id

    def test_replaces_no_clients_keys_alone(self, bank: LiveServer, owner: Member, approver: Member) -> None:
        """Whoever has a client's keys is that client."""
        client = add_app(bank, SLUG, "client_secret_basic", scopes=["users:read"])
        path, body = f"/v1/clients/{client.client_id}/rotate-secret", {"overlap_s": 0}
        approve(approver, waits(owner.order(path, body)))
        assert owner.order(path, body).json()["client_secret"].startswith("bfs_")
        waits(owner.order(path, body))
        waits(owner.order(f"/v1/clients/{client.client_id}/rotate-keys", {"jwks": {"keys": []}}))


class TestAMemberOfStaffOutsideOfASandbox:
    def test_never_begins_anew_by_one_persons_word(self, live: LiveServer) -> None:
        """Whatever the manifest names."""
        slug = "no_sandbox"
        live.add_tenant(manifest(slug, sandbox=False, security_profile="fapi2"))
        people = [a_person(live, slug, realm="staff", roles=("approver",)), a_person(live, slug)]

        async def needed(person: Any) -> bool:
            tenant = await live.services.registry.get(slug)
            call = Call(
                services=live.services,
                caller=CALLER,
                request_id="req_x",
                method="POST",
                path="",
                headers={},
                base_url="",
                tenant_or_none=tenant,
            )
            return bool(await RE_ENROLMENT.when(call, {"user_id": person.user_id}))

        assert [live.run(needed(person)) for person in people] == [False, False]
        for person in people:
            enrol(person)
        assert [live.run(needed(person)) for person in people] == [True, False]


ALL_ROLES = ["approver", "developer", "operator"]
THEIRS = ["approvals:decide", "approvals:read", "clients:read", "clients:write", "wallets:write"]


@pytest.fixture
def colleague(bank: LiveServer) -> Iterator[Member]:
    """Who has all roles that there are work for, as in a small bank."""
    with Member(bank, add_person(bank, SLUG, roles=ALL_ROLES), THEIRS) as member:
        yield member


class TestAProgram:
    @pytest.mark.parametrize("by", ["themselves", "another program of theirs"])
    def test_is_decided_on_by_nobody_who_has_made_it(
        self, bank: LiveServer, colleague: Member, approver: Member, by: str
    ) -> None:
        """Whoever has a program's secret could ask by it, and agree to what they have asked themselves."""
        made = _made_program(colleague)
        if by != "themselves":
            with bank.client_of(SLUG, made) as first:
                made = _made_program(first)
        approval_id = _asked(bank, made)
        refused = approve(colleague, approval_id)
        assert (refused.status_code, refused.json()["code"]) == (403, "maker_may_not_decide")
        assert approve(approver, approval_id).json()["outcome_status"] == 404

    def test_is_decided_on_by_nobody_who_has_given_it_a_secret(
        self, bank: LiveServer, colleague: Member, approver: Member
    ) -> None:
        """Who has the present secret is the program, whoever has made it."""
        made = bank.add_client(SLUG, ["wallets:write"])
        assert approve(colleague, _asked(bank, made)).status_code == 200
        path, body = f"/v1/clients/{made.client_id}/rotate-secret", {"overlap_s": 0}
        approve(approver, waits(colleague.order(path, body)))
        approval_id = _asked(bank, Credentials(made.client_id, colleague.order(path, body).json()["client_secret"]))
        assert approve(colleague, approval_id).json()["code"] == "maker_may_not_decide"
        assert approve(approver, approval_id).status_code == 200


def _made_program(maker: httpx.Client) -> Credentials:
    said = {"token_endpoint_auth_method": "client_secret_basic", "scope": "clients:write wallets:write"}
    made = maker.post("/v1/clients", json=said).json()
    return Credentials(made["id"], made["client_secret"])


def _asked(live: LiveServer, made: Credentials) -> str:
    """Have a program ask for what needs a second person, and return the approval."""
    with live.client_of(SLUG, made) as program:
        return waits(program.post(f"/v1/wallets/{ids.new(Prefix.WALLET)}/unfreeze", json={"reason": "r"}))


class TestWhoeverHasAsked:
    @pytest.mark.parametrize(
        "sql",
        [
            "UPDATE users SET state = 'disabled' WHERE id = $1",
            "UPDATE users SET roles = '{support}' WHERE id = $1",
            "UPDATE api_clients SET state = 'disabled' WHERE id = (SELECT client_id FROM approvals WHERE user_id = $1)",
        ],
        ids=["disabled", "role", "client"],
    )
    def test_must_still_be_allowed_it(self, bank: LiveServer, approver: Member, sql: str) -> None:
        """What somebody asked for who has left can't be approved any more, and can be rejected."""
        with Member(bank, add_person(bank, SLUG, roles=["owner"]), OWNER) as maker:
            body = {"login_realm": "staff", "login_name": f"x.{uuid4().hex}", "display_name": "X"}
            approval_id = waits(maker.order("/v1/users", body))
            bank.run(_execute(bank, sql, maker.person.user_id))
            refused = approve(approver, approval_id)
            assert (refused.status_code, refused.json()["code"]) == (409, "maker_lacks_permission")
            rejected = approver.post(f"/v1/approvals/{approval_id}/reject", json={})
            assert rejected.json()["status"] == "rejected"

    def test_must_be_allowed_it_when_it_is_carried_out(
        self, bank: LiveServer, approver: Member, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between the decision and the deed may lie a crash, and a dismissal."""
        with Member(bank, add_person(bank, SLUG, roles=["owner"]), OWNER) as maker:
            body = {"login_realm": "staff", "login_name": f"x.{uuid4().hex}", "display_name": "X"}
            approval_id = waits(maker.order("/v1/users", body))
            approvals, key = bank.services.approvals, ids.decode(Prefix.APPROVAL, approval_id)
            with monkeypatch.context() as patch:

                async def wait(*_: Any) -> None:
                    """Leave it to the job."""

                patch.setattr(approvals, "execute", wait)
                assert approve(approver, approval_id).json()["status"] == "approved"
                bank.run(_execute(bank, "UPDATE users SET state = 'disabled' WHERE id = $1", maker.person.user_id))
            bank.run(_carry_out(bank, key))
            shown = approver.get(f"/v1/approvals/{approval_id}").json()
            assert (shown["outcome_status"], shown["outcome"]["code"]) == (403, "permission_denied")


async def _made_party(live: LiveServer) -> str:
    return (await create_party(live.services, await live.services.registry.get(SLUG))).id


async def _execute(live: LiveServer, sql: str, *arguments: Any) -> None:
    async with tx_of(live, SLUG) as tx:
        await tx.execute(sql, *arguments)


async def _carry_out(live: LiveServer, key: Any) -> None:
    await live.services.approvals.execute(await live.services.registry.get(SLUG), key)
