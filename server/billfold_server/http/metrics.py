"""What is counted of requests, for Prometheus.

Labels are few and known beforehand: the route's template, never a path; no tenant and no client. A deployment with a
thousand tenants has as many series as one with two.
"""

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

__all__ = ["Metrics"]

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"})


class Metrics:
    """The counters of one process.

    With several workers, ``PROMETHEUS_MULTIPROC_DIR`` names the folder in which they put their counts together; then
    each worker answers for all.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "billfold_http_requests_total",
            "Requests answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "billfold_http_request_seconds",
            "Time from request to answer.",
            ["method", "route"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self._problems = Counter(
            "billfold_http_problems_total", "Refusals by their stable code.", ["code"], registry=self.registry
        )
        self.in_flight = Gauge(
            "billfold_http_requests_in_flight",
            "Requests being handled.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )

    def observe(self, method: str, route: str, status: int, took_s: float, code: str | None) -> None:
        """Count one answer."""
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(took_s)
        if code is not None:
            self._problems.labels(code).inc()

    def refuse(self, code: str, times: int) -> None:
        """Count refusals of items within a request that was answered as a whole."""
        self._problems.labels(code).inc(times)

    def exposition(self) -> bytes:
        """Return everything in Prometheus's text form."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)
