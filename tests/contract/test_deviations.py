"""The contract tests notice it when server and document part."""

from typing import Any

import httpx
import pytest

from tests.contract.conftest import COUNTS, TENANT
from tests.contract.deviations import DEVIATIONS, Deviating, Deviation, only
from tests.contract.documents import tenant_part
from tests.contract.preparing import Preparing
from tests.contract.runner import Seen, run
from tests.live import LiveServer

PHASES = ("examples", "coverage", "fuzzing")


def seen_of(
    part: dict[str, Any],
    live: LiveServer,
    client: httpx.Client,
    preparing: Preparing,
    *,
    max_failures: int | None = None,
) -> Seen:
    """Run the contract tests over a small document."""
    return run(
        part,
        live.base(TENANT),
        token=client.headers["Authorization"].removeprefix("Bearer "),
        client=live.add_client(TENANT),
        prepare=preparing.prepare,
        learn=preparing.learn,
        phases=PHASES,
        max_examples=20,
        max_failures=max_failures,
    )


class TestTheContractTests:
    @pytest.mark.parametrize("operation_id", sorted({each.operation_id for each in DEVIATIONS}))
    def test_find_nothing_where_nothing_deviates(
        self, operation_id: str, document: dict[str, Any], live: LiveServer, client: httpx.Client, preparing: Preparing
    ) -> None:
        """Each operation that is made to deviate is without a fault by itself."""
        part = only(tenant_part(document, live.base(TENANT)), operation_id)
        assert seen_of(part, live, client, preparing).failures == []

    @pytest.mark.parametrize("deviation", DEVIATIONS, ids=lambda each: each.name)
    def test_notice_a_server_that(  # noqa: PLR0917 - fixtures
        self,
        deviation: Deviation,
        document: dict[str, Any],
        live: LiveServer,
        deviating: Deviating,
        client: httpx.Client,
        preparing: Preparing,
    ) -> None:
        """Each deviation fails a check."""
        part = only(tenant_part(document, live.base(TENANT)), deviation.operation_id)
        if deviation.documented is not None:
            for item in part["paths"].values():
                for operation in item.values():
                    if operation["operationId"] == deviation.operation_id:
                        deviation.documented(operation)
        deviating.asked, deviating.answered = deviation.asked, deviation.answered
        try:
            # One failure is what is asked for; what else would fail is of no interest.
            failures = seen_of(part, live, client, preparing, max_failures=1).failures
        finally:
            deviating.asked = deviating.answered = None
        assert failures
        assert not any("schemathesis itself failed" in each for each in failures), failures
        COUNTS["deviations noticed"] += 1
