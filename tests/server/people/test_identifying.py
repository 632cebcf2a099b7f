"""Who shows at the command line who they are."""

from typing import Any

import httpx
import pytest

from billfold import errors, ids
from billfold.ids import Prefix
from billfold_server.http.routing import Call
from billfold_server.people import service
from billfold_server.people.service import Identified
from billfold_server.tenancy.context import COMMAND_LINE
from tests.live import LiveServer
from tests.server.people.persons import Person, a_person, an_operator, enrol
from tests.tenants import manifest

SLUG = "identifying"


def identify(person: Person, **changes: str) -> Identified:
    """Show name, password and code as that person, unless another value is given."""
    live, operator = person.live, person.slug is None
    said = {"name": person.name, "password": person.password, "code": changes.get("code") or person.code(), **changes}

    async def run() -> Identified:
        services = live.services
        call = Call(
            services=services,
            caller=COMMAND_LINE,
            request_id=ids.new(Prefix.REQUEST),
            method="",
            path="",
            headers={},
            base_url="",
            tenant_or_none=None if person.slug is None else await services.registry.get(person.slug),
        )
        return await service.identify(call, "operator" if operator else "staff", **said)

    found: Any = live.run(run())
    assert isinstance(found, Identified)
    return found


@pytest.fixture(scope="module")
def staff(live: LiveServer) -> Person:
    """Somebody who has enrolled, and approves."""
    live.add_tenant(manifest(SLUG))
    person = a_person(live, SLUG, realm="staff", roles=("approver",))
    enrol(person)
    return person


class TestSomebodyAtTheCommandLine:
    def test_is_known_by_password_and_code(self, staff: Person) -> None:
        """The audit names them as it names them everywhere, and their roles say what they may."""
        found = identify(staff)
        assert (found.user_id, found.actor) == (ids.decode(Prefix.USER, staff.user_id), staff.user_id)
        assert found.scopes is not None
        assert "approvals:decide" in found.scopes

    @pytest.mark.parametrize("wrong", ["name", "password", "code"])
    def test_is_refused_where_one_of_the_three_is_wrong(self, staff: Person, wrong: str) -> None:
        """Nothing tells which, and the audit of the tenant knows."""
        with pytest.raises(errors.PersonRequired) as refused:
            identify(staff, **{wrong: "000000" if wrong == "code" else "nobody-at-all"})
        assert refused.value.facts == {}
        with staff.live.client(SLUG) as client:
            (record, *_) = records(client)
        assert record["object_id"] == ("nobody" if wrong == "name" else staff.user_id)

    def test_cant_use_a_code_twice(self, staff: Person) -> None:
        """Whoever looks over a shoulder is late."""
        code = staff.code()
        identify(staff, code=code)
        with pytest.raises(errors.PersonRequired):
            identify(staff, code=code)

    def test_cant_use_a_recovery_code(self, staff: Person) -> None:
        """It stands in for a second factor, and so is none."""
        with pytest.raises(errors.PersonRequired):
            identify(staff, code=staff.codes[0])

    def test_may_be_an_operator_of_the_platform(self, live: LiveServer) -> None:
        """Operators may do everything there."""
        operator = an_operator(live)
        enrol(operator)
        assert identify(operator).scopes is None

    def test_is_slowed_down(self, staff: Person) -> None:
        """Guesses are counted as those at the pages are."""
        guesser = a_person(staff.live, SLUG, realm="staff", roles=("approver",))
        with pytest.raises(errors.RateLimited) as refused:
            for _ in range(20):
                with pytest.raises(errors.PersonRequired):
                    identify(guesser, password="wrong wrong wrong", code="000000")
        assert (refused.value.retry_after_s or 0) > 0


def records(client: httpx.Client) -> list[dict[str, Any]]:
    """Return the audit's records of sign-ins that failed, the newest first."""
    answer = client.get("/v1/audit-records", params={"action": "user.sign_in_failed"})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])
