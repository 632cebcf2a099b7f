"""What is counted of requests, for Prometheus.

Labels are few and known beforehand: the route's template, never a path; no tenant and no client. A deployment with a
thousand tenants has as many series as one with two.
"""

import asyncio
import os
from bisect import bisect_left
from collections import Counter as Counts
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from billfold_server.db.unwritten import REASONS as UNWRITTEN

__all__ = ["Metrics"]

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_STREAM_LAG_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"})
_TOGETHER: Final = "PROMETHEUS_MULTIPROC_DIR"
_REPORT_S: Final = 0.5
"""How old a worker's counts may be when another one shows them."""


class _Times(Histogram):
    """A histogram to which many observations are added at once."""

    def add(self, buckets: list[int], sum_s: float) -> None:
        """Add observations.

        Args:
            buckets: How many lie in each bucket, the last one without a bound.
            sum_s: All of them together.
        """
        self._sum.inc(sum_s)
        for bucket, count in zip(self._buckets, buckets, strict=True):
            if count:
                bucket.inc(count)


class _Tally:
    """Answers of one kind since they were last reported."""

    __slots__ = ("buckets", "sum_s")

    def __init__(self) -> None:
        self.buckets = [0] * (len(_BUCKETS_S) + 1)
        self.sum_s = 0.0


class _Standing(Protocol):
    @property
    def ok(self) -> bool:
        """Whether keys are in reach."""


class _Keys(Protocol):
    """What is told of keys."""

    domain: Any
    counts: Counts[str]
    failures: Counts[str]

    @property
    def standing(self) -> _Standing:
        """Whether keys are in reach."""

    @property
    def awaiting_rewrap(self) -> int | None:
        """How many keys wait to be rewrapped, where that is known."""


class _Tenants(Protocol):
    """What is told of tenants."""

    @property
    def unreadable(self) -> list[str]:
        """Those that this version can't read."""


class _Unwritten(Protocol):
    """What is told of what the database couldn't write."""

    counts: Counts[str]


class _Lines(Protocol):
    """What is told of requests that wait to be handled."""

    @property
    def waiting(self) -> int:
        """How many there are."""


def _taken(counts: Counts[str]) -> Counts[str]:
    """Return what was counted since the last time."""
    taken = counts.copy()
    counts.clear()
    return taken


class Metrics:
    """The counters of one process.

    Requests are counted in plain numbers, which costs a twentieth of what Prometheus's own take, and are reported to
    these whenever somebody looks. With several workers, ``PROMETHEUS_MULTIPROC_DIR`` names the folder in which they put
    their counts together; then each worker answers for all, and reports twice a second.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._tenants: _Tenants | None = None
        self._requests = Counter(
            "billfold_http_requests_total",
            "Requests answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = _Times(
            "billfold_http_request_seconds",
            "Time from request to answer.",
            ["method", "route"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self._problems = Counter(
            "billfold_http_problems_total", "Refusals by their stable code.", ["code"], registry=self.registry
        )
        self._add_running()
        self._days_left = Gauge(
            "billfold_tls_days_left",
            "Days until a certificate or a revocation list ends.",
            ["file"],
            registry=self.registry,
            multiprocess_mode="livemin",
        )
        self._unusable = Gauge(
            "billfold_tls_changed_file_unusable",
            "Whether a file was changed to what can't be used, so that what was there before is.",
            ["file"],
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self._unreadable = Gauge(
            "billfold_tenants_unreadable",
            "Tenants of which this version can't read what is stored; billfold tenants list says why.",
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self._add_keys()
        self._add_stream()
        self._add_background()
        self._add_unwritten()
        self._begin_at_zero()
        self._together = _TOGETHER in os.environ
        self._tallies: dict[tuple[str, str, int], _Tally] = {}
        self._codes: Counts[str] = Counts()
        self._due: asyncio.TimerHandle | None = None

    def _add_background(self) -> None:
        """Add what is counted of work beside requests."""
        self._logged = Counter(
            "billfold_request_log_total",
            "Requests for the log that developers read: written, dropped where there was no room, or failed.",
            ["outcome"],
            registry=self.registry,
        )
        self._dead_jobs = Counter(
            "billfold_jobs_dead_total",
            "Jobs of tenants that failed as often as they may, by kind; GET /platform/v1/tenants/{slug}/dead-jobs.",
            ["kind"],
            registry=self.registry,
        )
        self._trails = Counter(
            "billfold_audit_sealings_total",
            "Looks for what isn't sealed of audit trails, by what came of them: done, put_off or failed.",
            ["outcome"],
            registry=self.registry,
        )
        # A time rather than an age, which would stand still with whoever measures it. Any process may have looked last,
        # on any machine, and what one has found stays true when it has ended.
        self._trails_until = Gauge(
            "billfold_audit_sealed_until_timestamp_seconds",
            "Up to when all audit trails are sealed, as Unix time: when the oldest record was made that isn't, or else "
            "when the last look at them began; 0 before the first one.",
            registry=self.registry,
            multiprocess_mode="max",
        )

    def _begin_at_zero(self) -> None:
        """Show what alarms look at before it is counted: a series that begins with 1 has, to them, never risen."""
        self._problems.labels("overloaded")
        for because in UNWRITTEN:
            self._unwritten.labels(because)
        for outcome in ("written", "dropped", "failed"):
            self._logged.labels(outcome)
        for outcome in ("done", "put_off", "failed"):
            self._trails.labels(outcome)
        for why in ("threshold", "limit"):
            self._tokens.labels("alarm", why)

    def _add_unwritten(self) -> None:
        self._unwritten = Counter(
            "billfold_database_unwritten_total",
            "Transactions that ended because PostgreSQL couldn't write: disk_full, io_error, read_only or exhausted.",
            ["because"],
            registry=self.registry,
        )
        self._not_written: _Unwritten | None = None

    def _add_running(self) -> None:
        self._in_flight = Gauge(
            "billfold_http_requests_in_flight",
            "Requests being handled.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._in_line = Gauge(
            "billfold_http_requests_waiting",
            "Requests that wait to be handled, because their tenant has as many under way as it may beside others.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._running = 0
        self._lines: _Lines | None = None

    def _add_keys(self) -> None:
        self._keys = Counter(
            "billfold_keys_total",
            "What was done with keys: found in the cache, loaded, asked of the backend, sealed with, evicted.",
            ["domain", "event"],
            registry=self.registry,
        )
        self._keys_failed = Counter(
            "billfold_keys_failures_total",
            "Keys that were out of reach, or (unopened) are wrapped by something else.",
            ["domain", "reason"],
            registry=self.registry,
        )
        self._keys_available = Gauge(
            "billfold_keys_available",
            "Whether keys are in reach.",
            ["domain"],
            registry=self.registry,
            multiprocess_mode="livemin",
        )
        self._awaiting = Gauge(
            "billfold_keys_awaiting_rewrap",
            "Keys under a former epoch when this was last looked at, by whichever process works on them.",
            ["domain"],
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self._followed: list[_Keys] = []
        self._vault_calls = Counter(
            "billfold_vault_calls_total",
            "Calls to Vault, by what was asked and how it went: ok, refused, given_up, or why Vault can't be used.",
            ["operation", "outcome"],
            registry=self.registry,
        )
        self._tokens = Counter(
            "billfold_vault_tokens_total",
            "Vault tokens by what was done, and to which kind; alarms by why.",
            ["operation", "kind"],
            registry=self.registry,
        )

    def _add_stream(self) -> None:
        self._stream = Counter(
            "billfold_stream_events_total",
            "Events that were published to NATS: published, reference (without what they say, which was too large), or "
            "duplicate (it had them); and attempts that failed.",
            ["outcome"],
            registry=self.registry,
        )
        self._stream_reachable = Gauge(
            "billfold_stream_reachable",
            "Whether what was to be published to NATS last was taken.",
            registry=self.registry,
            multiprocess_mode="livemin",
        )
        self._stream_reachable.set(1)
        self._stream_lag = Histogram(
            "billfold_stream_lag_seconds",
            "How long after an event it was in NATS.",
            registry=self.registry,
            buckets=_STREAM_LAG_S,
        )
        self._stream_behind = Gauge(
            "billfold_stream_behind_seconds",
            "How old the oldest event is that NATS should have and hasn't taken.",
            registry=self.registry,
            multiprocess_mode="livemax",
        )

    def begin(self) -> None:
        """Count a request that has come in."""
        self._running += 1

    def observe(self, method: str, route: str, status: int, took_s: float, code: str | None) -> None:
        """Count the answer to a request that was counted when it came in."""
        self._running -= 1
        key = (method if method in _METHODS else "other", route, status)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = _Tally()
        tally.buckets[bisect_left(_BUCKETS_S, took_s)] += 1
        tally.sum_s += took_s
        if code is not None:
            self._codes[code] += 1
        if self._together and self._due is None:
            self._due = asyncio.get_running_loop().call_later(_REPORT_S, self.report)

    def refuse(self, code: str, times: int) -> None:
        """Count refusals of items within a request that was answered as a whole."""
        self._codes[code] += times

    def vault_tokens(self, operation: str, kind: str, number: int) -> None:
        """Count vault tokens that were taken in, released or refused, and alarms."""
        if number:
            self._tokens.labels(operation, kind).inc(number)

    def days_left(self, file: str, days: float) -> None:
        """Note for how long a certificate or a revocation list is good; negative is over."""
        self._days_left.labels(file).set(round(days, 3))

    def file_usable(self, file: str, *, usable: bool) -> None:
        """Note whether what lies in a file that may change is what is used."""
        self._unusable.labels(file).set(0 if usable else 1)

    def stream_told(self, outcome: str, lag_s: float | None = None) -> None:
        """Count an event that was published to NATS so long after it had happened, or wasn't."""
        self._stream.labels(outcome).inc()
        if lag_s is not None:
            self._stream_lag.observe(lag_s)

    def stream_behind(self, age_s: float) -> None:
        """Note how old the oldest event is that NATS hasn't taken."""
        self._stream_behind.set(age_s)

    def requests_logged(self, outcome: str, number: int) -> None:
        """Count requests that were written to the log that developers read, or weren't."""
        self._logged.labels(outcome).inc(number)

    def expect_jobs(self, kinds: Iterable[str]) -> None:
        """Show for each kind that no job of it has failed for good yet."""
        for kind in kinds:
            self._dead_jobs.labels(kind)

    def job_buried(self, kind: str) -> None:
        """Count a job that failed for good."""
        self._dead_jobs.labels(kind).inc()

    def trail_sealed(self, outcome: str) -> None:
        """Count a look at an audit trail."""
        self._trails.labels(outcome).inc()

    def trails_sealed_until(self, until: datetime) -> None:
        """Note up to when all audit trails are sealed."""
        self._trails_until.set(until.timestamp())

    def stream_reachable(self, *, reachable: bool) -> None:
        """Note whether NATS takes what is published."""
        self._stream_reachable.set(reachable)

    def follow(self, keys: "_Keys") -> None:
        """Report what a process does with the keys of a domain, too."""
        self._followed.append(keys)
        # It is to be alarmed on at any rise, which the first of a series that isn't there is not.
        self._keys_failed.labels(keys.domain, "unopened")

    def watch(self, tenants: "_Tenants") -> None:
        """Report what a process knows of tenants, too."""
        self._tenants = tenants

    def count_waiting(self, lines: "_Lines") -> None:
        """Report how many requests wait to be handled, too."""
        self._lines = lines

    def count_unwritten(self, unwritten: "_Unwritten") -> None:
        """Report what the database couldn't write, too."""
        self._not_written = unwritten

    def vault_called(self, operation: str, outcome: str, took_s: float) -> None:
        """Count a call to Vault, of which there are few."""
        del took_s
        self.vault_asked(operation, outcome, 1)

    def vault_asked(self, operation: str, outcome: str, times: int) -> None:
        """Count calls to Vault, of this process or of the decryptor."""
        self._vault_calls.labels(operation, outcome).inc(times)

    def report(self) -> None:
        """Add to Prometheus's counters what was counted since the last time."""
        self._due = None
        if self._tenants is not None:
            self._unreadable.set(len(self._tenants.unreadable))
        self._report_keys()
        if self._not_written is not None:
            for because, times in _taken(self._not_written.counts).items():
                self._unwritten.labels(because).inc(times)
        tallies, self._tallies = self._tallies, {}
        for (method, route, status), tally in tallies.items():
            self._requests.labels(method, route, str(status)).inc(sum(tally.buckets))
            self._seconds.labels(method, route).add(tally.buckets, tally.sum_s)
        codes, self._codes = self._codes, Counts()
        for code, times in codes.items():
            self._problems.labels(code).inc(times)
        self._in_flight.set(self._running)
        if self._lines is not None:
            self._in_line.set(self._lines.waiting)

    def _report_keys(self) -> None:
        for keys in self._followed:
            for event, times in _taken(keys.counts).items():
                self._keys.labels(keys.domain, event).inc(times)
            for reason, times in _taken(keys.failures).items():
                self._keys_failed.labels(keys.domain, reason).inc(times)
            self._keys_available.labels(keys.domain).set(keys.standing.ok)
            if keys.awaiting_rewrap is not None:
                self._awaiting.labels(keys.domain).set(keys.awaiting_rewrap)

    def exposition(self) -> bytes:
        """Return everything in Prometheus's text form."""
        self.report()
        if not self._together:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)
