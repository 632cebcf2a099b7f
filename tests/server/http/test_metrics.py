"""Metrics: plain numbers that reach Prometheus's own, also from another worker."""

import contextlib
import struct
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from billfold_server.db.unwritten import Unwritten
from billfold_server.http.metrics import Metrics
from tests.server.upping import environment

TRANSFERS = {"method": "POST", "route": "/v1/transfers"}

OTHER = """
import asyncio, sys
from billfold_server.http.metrics import Metrics

async def serve():
    metrics = Metrics()
    metrics.begin()
    metrics.observe("POST", "/v1/transfers", 201, 0.003, None)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(serve())
"""


class TestWhatWasCounted:
    def test_is_told_by_method_route_status_and_code(self) -> None:
        """A histogram's buckets hold all that took no longer, and everything adds up over several looks."""
        metrics = Metrics()
        for took_s in (0.001, 0.0011, 20.0):
            metrics.begin()
            metrics.observe("POST", "/v1/transfers", 201, took_s, None)
        assert b"requests_total" in metrics.exposition()
        metrics.begin()
        metrics.begin()
        metrics.observe("BREW", "/v1/transfers", 409, 0.1, "insufficient_funds")
        metrics.refuse("insufficient_funds", 2)
        metrics.exposition()
        value = metrics.registry.get_sample_value
        name = "billfold_http_request_seconds"
        assert value("billfold_http_requests_total", {**TRANSFERS, "status": "201"}) == 3
        assert [value(f"{name}_bucket", {**TRANSFERS, "le": le}) for le in ("0.001", "0.0025", "10.0", "+Inf")] == [
            1,
            2,
            2,
            3,
        ]
        assert value(f"{name}_sum", TRANSFERS) == pytest.approx(20.0021)
        assert value("billfold_http_requests_total", {**TRANSFERS, "method": "other", "status": "409"}) == 1
        assert value("billfold_http_problems_total", {"code": "insufficient_funds"}) == 3
        assert value("billfold_http_requests_in_flight") == 1

    def test_tells_what_the_database_could_not_write(self) -> None:
        """Each is told once, however often somebody looks."""
        metrics, unwritten = Metrics(), Unwritten()
        metrics.count_unwritten(unwritten)
        for now_s in (0.0, 1.0):
            unwritten.note(asyncpg.DiskFullError(), now_s)
            metrics.exposition()
            metrics.exposition()
        value = metrics.registry.get_sample_value
        assert value("billfold_database_unwritten_total", {"because": "disk_full"}) == 2

    def test_begins_at_zero_where_alarms_look_at_it(self) -> None:
        """A series that begins with 1 hasn't risen, so the first of its events would be missed."""
        metrics = Metrics()
        metrics.expect_jobs(["ledger.verify"])
        metrics.exposition()
        value = metrics.registry.get_sample_value
        assert value("billfold_jobs_dead_total", {"kind": "ledger.verify"}) == 0
        assert value("billfold_http_problems_total", {"code": "overloaded"}) == 0
        assert value("billfold_database_unwritten_total", {"because": "disk_full"}) == 0
        assert value("billfold_request_log_total", {"outcome": "dropped"}) == 0
        assert value("billfold_audit_sealings_total", {"outcome": "failed"}) == 0
        assert value("billfold_vault_tokens_total", {"operation": "alarm", "kind": "threshold"}) == 0

    def test_tells_up_to_when_trails_are_sealed(self) -> None:
        """As Unix time, and that nobody knows before somebody has looked."""
        metrics = Metrics()
        value = metrics.registry.get_sample_value
        assert value("billfold_audit_sealed_until_timestamp_seconds") == 0
        metrics.trails_sealed_until(datetime(2026, 11, 22, 12, tzinfo=UTC))
        assert value("billfold_audit_sealed_until_timestamp_seconds") == 1_795_348_800

    def test_is_seen_by_other_workers_while_the_one_that_counted_lives(self, tmp_path: Path) -> None:
        """A worker reports by itself, without being asked."""
        env = environment(PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
        with subprocess.Popen([sys.executable, "-c", OTHER], stdin=subprocess.PIPE, env=env) as other:
            together = CollectorRegistry()
            MultiProcessCollector(together, path=str(tmp_path))  # type: ignore[no-untyped-call]
            until = time.monotonic() + 30
            counted: float | None = None
            while not counted and time.monotonic() < until:
                assert other.poll() is None
                # While the other one makes its file, the library's reader fails at it.
                with contextlib.suppress(struct.error):
                    counted = together.get_sample_value("billfold_http_requests_total", {**TRANSFERS, "status": "201"})
            other.communicate(timeout=30)
        assert counted == 1
