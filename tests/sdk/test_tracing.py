"""Spans for the calls of programs that trace."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.sdk.playing import Play, problem, success
from tests.sdk.recording import client, ok

WALLETS = "/v1/wallets/{wallet_id}"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What is recorded, for as long as the test runs."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


class TestACall:
    def test_is_one_span_with_all_its_attempts(self, spans: InMemorySpanExporter):
        """It has the operation's name and outcome, and neither an id nor a query, which may be about a person."""
        url = "https://bank.example:8443/t/demo/v1/wallets/wal_1?q=Ada"
        play = Play([problem(503, "unavailable"), success()], url=url, template=WALLETS)
        (span,) = spans.get_finished_spans()
        assert (span.name, span.kind) == (f"GET {WALLETS}", trace.SpanKind.CLIENT)
        assert dict(span.attributes or {}) == {
            "http.request.method": "GET",
            "url.template": WALLETS,
            "server.address": "bank.example",
            "server.port": 8443,
            "http.response.status_code": 200,
            "http.request.resend_count": 1,
        }
        assert play.error is None
        assert {each.headers["traceparent"].split("-")[1] for each in play.requests} == {
            f"{span.context.trace_id:032x}"
        }

    def test_says_by_what_it_was_refused(self, spans: InMemorySpanExporter):
        """A refusal is its stable code; what it says of this one case stays out."""
        Play([problem(409, "insufficient_funds", x_request_id="req_1")])
        (span,) = spans.get_finished_spans()
        attributes = span.attributes or {}
        assert (attributes["error.type"], attributes["billfold.request_id"]) == ("insufficient_funds", "req_1")
        assert (span.status.status_code, span.status.description, span.events) == (trace.StatusCode.ERROR, None, ())

    def test_belongs_to_what_the_program_is_doing(self, spans: InMemorySpanExporter):
        """Its parent is the span that is the present one where the call is made; its operation is named by itself."""
        billfold, _ = client(ok(b'{"now":"2026-11-20T12:00:00Z","controllable":true,"frozen":false}'))
        with trace.get_tracer("program").start_as_current_span("checkout") as checkout:
            billfold.clock.get()
        token, call, _ = spans.get_finished_spans()
        assert (token.name, call.name) == ("POST /t/sandbox/oauth/token", "GET /v1/clock")
        assert call.parent is not None
        assert call.parent.span_id == checkout.get_span_context().span_id

    def test_costs_nothing_where_nobody_records(self, monkeypatch: pytest.MonkeyPatch):
        """With OpenTelemetry's interfaces alone, requests carry no trace."""
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
        assert "traceparent" not in Play([success()]).requests[0].headers
