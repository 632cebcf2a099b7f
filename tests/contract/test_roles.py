"""Everybody who may ask a tenant gets what the document lets them, and nothing else."""

from typing import Any

import httpx
import pytest

from tests.contract.clients import add_asking_client
from tests.contract.conftest import COUNTS, SUMMARY, TENANT
from tests.contract.documents import Operation, operations, read_document, tenant_part
from tests.contract.inside import Inside
from tests.contract.preparing import Preparing
from tests.contract.roles import ACTORS, Actor, is_allowed, may, opens
from tests.contract.runner import run
from tests.contract.seeds import is_id
from tests.live import LiveServer
from tests.soak import many

pytestmark = pytest.mark.timeout(600)

ANSWERS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)
"""The checks of answers, whatever was asked. How valid data fare depends on who asks."""

EXAMPLES = many(1, 8)
"""How many random cases each operation of a role gets; the program that may do everything gets more."""

WITH_TOKEN = [each for each in operations(read_document()) if each.needs_token]


@pytest.fixture(params=list(ACTORS))
def actor(request: pytest.FixtureRequest, live: LiveServer) -> Actor:
    """Let somebody get a token."""
    return ACTORS[request.param](live, TENANT)


def address_of(operation: Operation) -> str:
    """Return an operation's path with the document's examples in it, which name nothing."""
    path = operation.path
    for parameter in operation.definition.get("parameters", []):
        if parameter["in"] == "path":
            assert is_id(parameter["example"]) or operation.at_deployment
            path = path.replace(f"{{{parameter['name']}}}", parameter.get("example", "nobody"))
    return path


def refusal_of(operation: Operation, actor: Actor) -> tuple[int, str]:
    """Return how a request is refused that has a parameter which no operation knows."""
    if operation.at_deployment:
        # A tenant's token is none of the platform's.
        return 401, "invalid_token"
    if not is_allowed(operation, actor.scopes):
        return 403, "insufficient_scope"
    if actor.of_customer and not opens(operation):
        return 403, "permission_denied"
    return 400, "validation_failed"


def asked(live: LiveServer, operations: list[Operation], token: str) -> dict[str, tuple[int, str]]:
    """Ask for each operation with a parameter that none knows, and return the answers' status and code by operation."""
    told = {}
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
        for each in operations:
            base = live.url if each.at_deployment else live.base(TENANT)
            answer = client.request(each.method, base + address_of(each), params={"unknown": "1"})
            told[each.operation_id] = answer.status_code, answer.json()["code"]
            COUNTS["pairs of operation and asker seen"] += 1
    return told


class TestWhoAsks:
    def test_is_let_through_where_the_document_says_so(self, actor: Actor, live: LiveServer) -> None:
        """Each operation looks at what was sent where its scopes allow it, and refuses everybody else before."""
        expected = {each.operation_id: refusal_of(each, actor) for each in WITH_TOKEN}
        assert asked(live, WITH_TOKEN, actor.token) == expected

    def test_is_nobody_at_a_tenant_as_the_platforms_operator(self, live: LiveServer) -> None:
        """A token of the platform, whatever it allows there, is none at a tenant."""
        of_tenant = [each for each in WITH_TOKEN if not each.at_deployment]
        told = asked(live, of_tenant, live.token(None, live.add_client(None)))
        assert told == dict.fromkeys(told, (401, "invalid_token"))
        assert len(told) > 100

    def test_gets_documented_answers_alone(
        self,
        request: pytest.FixtureRequest,
        actor: Actor,
        document: dict[str, Any],
        live: LiveServer,
        preparing: Preparing,
    ) -> None:
        """Whatever they send where they may, inside the process: no 5xx, and no status or form of another kind."""
        part = may(tenant_part(document, live.base(TENANT)), actor)
        seen = run(
            part,
            live.base(TENANT),
            token=actor.token,
            client=add_asking_client(live, TENANT),
            prepare=preparing.prepare,
            learn=preparing.learn,
            phases=["fuzzing", "stateful"],
            max_examples=EXAMPLES,
            app=Inside(live),
            judged=ANSWERS,
        )
        SUMMARY.extend(seen.lines(f"inside, {request.node.callspec.id}"))
        assert not seen.failures, "\n".join(seen.failures[:20])
        assert sum(map(sum, (each.values() for each in seen.statuses.values()))) > 0
