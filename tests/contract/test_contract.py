"""Every operation of the document against a running server, by schemathesis: every phase and every check."""

from typing import Any

import httpx
import pytest

from tests.contract.conftest import SUMMARY, TENANT
from tests.contract.documents import deployment_part, operations, tenant_part
from tests.contract.preparing import Preparing
from tests.contract.runner import PHASES, Seen, run
from tests.live import LiveServer

pytestmark = pytest.mark.timeout(600)


def told(seen: Seen) -> str:
    """Return what went wrong, for a person to read."""
    return "\n".join(seen.failures[:20]) + f"\n… {len(seen.failures)} in all"


class TestTheServer:
    def test_keeps_the_document_below_a_tenant(
        self, document: dict[str, Any], live: LiveServer, client: httpx.Client, preparing: Preparing
    ) -> None:
        """No check fails in any phase, and each operation is answered with its own success."""
        part = tenant_part(document, live.base(TENANT))
        seen = run(
            part,
            live.base(TENANT),
            token=client.headers["Authorization"].removeprefix("Bearer "),
            client=live.add_client(TENANT),
            prepare=preparing.prepare,
            learn=preparing.learn,
        )
        SUMMARY.extend(seen.lines("tenant"))
        assert set(seen.cases) == set(PHASES)
        assert not seen.failures, told(seen)
        missed = [each.operation_id for each in operations(part) if not seen.statuses[each.operation_id][each.success]]
        assert missed == []

    def test_keeps_the_document_at_the_deployment(
        self, document: dict[str, Any], live: LiveServer, operator: httpx.Client, preparing: Preparing
    ) -> None:
        """The same for the platform's operators and for load balancers."""
        part = deployment_part(document, live.url)
        seen = run(
            part,
            live.url,
            token=operator.headers["Authorization"].removeprefix("Bearer "),
            client=live.add_client(None),
            prepare=preparing.prepare,
            learn=preparing.learn,
        )
        SUMMARY.extend(seen.lines("deployment"))
        assert not seen.failures, told(seen)
        missed = [each.operation_id for each in operations(part) if not seen.statuses[each.operation_id][each.success]]
        assert missed == []
