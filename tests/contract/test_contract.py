"""Every operation of the document against a running server, by schemathesis: every phase and every check."""

from typing import Any

import httpx
import pytest

from tests.contract.clients import add_asking_client
from tests.contract.conftest import SUMMARY, TENANT
from tests.contract.documents import (
    about,
    collections,
    deployment_part,
    operations,
    read_document,
    reset_part,
    sandboxes_part,
    tenant_part,
)
from tests.contract.preparing import Preparing
from tests.contract.runner import PHASES, Seen, run
from tests.live import LiveServer
from tests.tenants import manifest

pytestmark = pytest.mark.timeout(600)

ALONE = tuple(phase for phase in PHASES if phase != "stateful")
"""The phases that look at one path at a time, so that several processes can look at some each."""
COLLECTIONS = collections(tenant_part(read_document(), ""))


def told(seen: Seen) -> str:
    """Return what went wrong, for a person to read."""
    return "\n".join(seen.failures[:20]) + f"\n… {len(seen.failures)} in all"


def missed(part: dict[str, Any], seen: Seen) -> list[str]:
    """Return the operations that were never answered with their own success."""
    return [each.operation_id for each in operations(part) if not seen.statuses[each.operation_id][each.success]]


class TestTheServer:
    @pytest.mark.parametrize("collection", COLLECTIONS)
    def test_keeps_the_document_below_a_tenant(
        self, collection: str, document: dict[str, Any], live: LiveServer, client: httpx.Client, preparing: Preparing
    ) -> None:
        """No check fails in any phase, and each operation is answered with its own success."""
        part = about(tenant_part(document, live.base(TENANT)), collection)
        seen = run(
            part,
            live.base(TENANT),
            token=client.headers["Authorization"].removeprefix("Bearer "),
            client=add_asking_client(live, TENANT),
            prepare=preparing.prepare,
            learn=preparing.learn,
            phases=ALONE,
        )
        SUMMARY.extend(seen.lines(f"tenant, {collection}"))
        assert not seen.failures, told(seen)
        assert missed(part, seen) == []

    def test_keeps_the_document_from_one_operation_to_the_next(
        self, document: dict[str, Any], live: LiveServer, client: httpx.Client, preparing: Preparing
    ) -> None:
        """No check fails when operations are called with what others have answered, whatever their paths."""
        seen = run(
            tenant_part(document, live.base(TENANT)),
            live.base(TENANT),
            token=client.headers["Authorization"].removeprefix("Bearer "),
            client=add_asking_client(live, TENANT),
            prepare=preparing.prepare,
            learn=preparing.learn,
            phases=["stateful"],
        )
        SUMMARY.extend(seen.lines("tenant, one after the other"))
        assert set(seen.cases) == {"stateful"}
        assert not seen.failures, told(seen)

    def test_keeps_the_document_where_it_makes_tenants(
        self, document: dict[str, Any], live: LiveServer, client: httpx.Client, preparing: Preparing
    ) -> None:
        """The same for sandboxes of partners, of which each is one; a few of each are enough."""
        part = sandboxes_part(document, live.base(TENANT))
        seen = run(
            part,
            live.base(TENANT),
            token=client.headers["Authorization"].removeprefix("Bearer "),
            client=add_asking_client(live, TENANT),
            prepare=preparing.prepare,
            learn=preparing.learn,
            phases=["examples"],
        )
        SUMMARY.extend(seen.lines("tenant, sandboxes"))
        assert not seen.failures, told(seen)
        assert missed(part, seen) == []

    def test_keeps_the_document_where_it_takes_everything_away(
        self, document: dict[str, Any], live: LiveServer, preparing: Preparing
    ) -> None:
        """The same for a sandbox that begins anew."""
        live.add_tenant(manifest("begins_anew", rate_limit_per_s=100_000, rate_limit_burst=1_000_000))
        part = reset_part(document, live.base("begins_anew"))
        seen = run(
            part,
            live.base("begins_anew"),
            token=live.token("begins_anew", live.add_client("begins_anew")),
            client=add_asking_client(live, "begins_anew"),
            prepare=preparing.prepare,
            learn=preparing.learn,
            phases=["examples", "coverage"],
        )
        SUMMARY.extend(seen.lines("tenant, begun anew"))
        assert not seen.failures, told(seen)
        assert missed(part, seen) == []

    def test_keeps_the_document_at_the_deployment(
        self, document: dict[str, Any], live: LiveServer, operator: httpx.Client, preparing: Preparing
    ) -> None:
        """The same for the platform's operators and for load balancers."""
        part = deployment_part(document, live.url)
        seen = run(
            part,
            live.url,
            token=operator.headers["Authorization"].removeprefix("Bearer "),
            client=add_asking_client(live, None),
            prepare=preparing.prepare,
            learn=preparing.learn,
        )
        SUMMARY.extend(seen.lines("deployment"))
        assert not seen.failures, told(seen)
        assert missed(part, seen) == []
