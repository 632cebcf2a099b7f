"""Logs: one JSON object per line, and nothing in them that isn't for everybody's eyes."""

import contextvars
import json
import logging
import secrets
from collections.abc import Callable, Iterator
from typing import Any, Literal

import asyncpg
import httpx
import msgspec
import pytest
import structlog

from billfold_server.app import build_app
from billfold_server.http.context import RequestContext
from billfold_server.http.logs import configure_logs, note_request
from billfold_server.http.receiving import Receiving
from billfold_server.settings import Settings
from tests.live import LiveServer
from tests.tenants import Tenancy

Form = Literal["json", "console"]
NAME = "Zoe Quill"
"""Somebody's name, which no log may hold."""
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """Return what has gone to standard error; the logs are put back in the end."""
    root, access, configure = logging.getLogger(), logging.getLogger("uvicorn.access"), structlog.configure
    handlers, level, config = list(root.handlers), root.level, structlog.get_config()

    def configure_for_now(**given: Any) -> None:
        # Loggers that are used meanwhile would keep to this for as long as the process of tests lives.
        configure(**{**given, "cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", configure_for_now)
    yield lambda: capsys.readouterr().err
    root.handlers[:] = handlers
    root.setLevel(level)
    access.disabled = False
    configure(**config)


def log_with(form: Form, error: BaseException) -> None:
    """Log an exception by our own logger and by the library's, as the server does."""
    configure_logs(Settings(log_format=form))
    for log in (structlog.stdlib.get_logger("billfold"), logging.getLogger("uvicorn.error")):
        log.error("request failed", exc_info=error)


async def refusal(tenancy: Tenancy, sql: str, *arguments: object) -> Exception:
    """Return what a handler fails of when PostgreSQL refuses its statement."""

    async def handle() -> None:
        try:
            async with tenancy.database.tx(tenancy.tenant) as tx:
                await tx.execute(sql, *arguments)
        except asyncpg.PostgresError as refused:
            raise RuntimeError("the handler failed") from refused

    with pytest.raises(RuntimeError) as caught:
        await handle()
    assert NAME in str(caught.value.__cause__), "PostgreSQL's own words hold the value"
    return caught.value


_PARTY = (
    "INSERT INTO parties (id, kind, external_id, roles, version, created_at, updated_at) "
    "VALUES (gen_random_uuid(), $1, $2, '{customer}', 1, now(), now())"
)


@pytest.mark.parametrize("form", ["json", "console"])
class TestATraceback:
    def test_shows_no_values_of_variables(self, logged: Callable[[], str], form: Form) -> None:
        """A secret that a function was working with isn't in the log of its failure."""
        secret = secrets.token_hex(10)

        def check(client_secret: str) -> None:
            raise LookupError(len(client_secret))

        with pytest.raises(LookupError) as caught:
            check(secret)
        log_with(form, caught.value)
        lines = logged()
        assert lines.count(f"LookupError: {len(secret)}") == 2
        assert secret not in lines

    async def test_shows_nothing_of_the_row_that_postgresql_refuses(
        self, logged: Callable[[], str], form: Form, tenancy: Tenancy
    ) -> None:
        """The constraint is named, and what the failing row contains is left out, wherever in the chain it stands."""
        error = await refusal(tenancy, _PARTY, "nobody", f"{NAME}\nof Quill & Co")
        log_with(form, error)
        lines = logged()
        assert lines.count("parties_kind_check") == 2
        assert lines.count("RuntimeError: the handler failed") == 2
        assert NAME not in lines
        assert NAME in str(error.__cause__), "the error itself is as it was"

    async def test_shows_nothing_of_the_value_that_postgresql_cannot_read(
        self, logged: Callable[[], str], form: Form, tenancy: Tenancy
    ) -> None:
        """A message that quotes its value is left out, and the kind of error stays."""
        log_with(form, await refusal(tenancy, "SELECT ($1::text)::uuid", NAME))
        lines = logged()
        assert lines.count("InvalidTextRepresentationError") == 2
        assert NAME not in lines


class TestALine:
    def test_is_one_json_object_whatever_it_holds(self, logged: Callable[[], str]) -> None:
        """Line breaks and control characters of a caller's can't begin a line of their own."""
        configure_logs(Settings(log_format="json"))
        structlog.stdlib.get_logger("billfold").info("request", path='/t/a\n{"event": "forged"}\x1b[2J\u2028')
        (line,) = logged().splitlines()
        assert json.loads(line)["event"] == "request"

    def test_names_the_request_that_causes_it(self, logged: Callable[[], str]) -> None:
        """Its id, its trace and its tenant, in whatever room it is logged, and nothing of it afterwards."""
        configure_logs(Settings(log_format="json"))
        log = structlog.stdlib.get_logger("billfold.somewhere")
        contextvars.copy_context().run(_log_within, log)
        log.info("without")
        within, without = map(json.loads, logged().splitlines())
        assert (within["event"], within["request_id"], within["trace_id"]) == ("within", "req_1", TRACE)
        assert len(within["span_id"]) == 16
        assert without.keys().isdisjoint({"request_id", "trace_id", "span_id"})

    def test_names_the_request_where_a_program_has_a_configuration_of_its_own(self, logged: Callable[[], str]) -> None:
        """It finds the same in structlog's own variables."""
        lines = structlog.testing.LogCapture()
        # Also what a server in this process has set for its own is the program's to say.
        structlog.reset_defaults()
        structlog.configure(processors=[structlog.contextvars.merge_contextvars, lines])
        contextvars.copy_context().run(_log_within, structlog.get_logger("a program's"))
        assert [(line["request_id"], line["trace_id"]) for line in lines.entries] == [("req_1", TRACE)]
        assert not logged()


class TestARequest:
    @pytest.mark.parametrize(
        ("access_log", "expected"),
        [("failures", {"/platform/broken": 500}), ("all", {"/t/nobody/v1/tenant": 404, "/platform/broken": 500})],
    )
    async def test_is_logged_if_it_fails_or_the_settings_ask_for_all(
        self, logged: Callable[[], str], live: LiveServer, access_log: Any, expected: dict[str, int]
    ) -> None:
        """What monitoring asks for all day long is told at the level ``debug`` alone."""
        app: Any = build_app(msgspec.structs.replace(live.settings, access_log=access_log))
        edge = app.asgi_handler
        router = edge.router

        async def breaking(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] == "/platform/broken":
                raise LookupError
            await router(scope, receive, send)

        edge.router = breaking
        configure_logs(Settings(log_format="json"))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            for path in ("/health/live", "/t/nobody/v1/tenant", "/platform/broken"):
                await client.get(path)
        lines = [json.loads(line) for line in logged().splitlines()]
        requests = [each for each in lines if each["event"] == "request"]
        assert {each["path"]: each["status"] for each in requests} == expected
        assert all(each["request_id"].startswith("req_") for each in requests)
        await app.state.services.engine.close()
        await app.state.services.keys.close()
        await app.state.services.database.close()


def _log_within(log: Any) -> None:
    receiving, headers = Receiving(_nothing, None, has_body=False), {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    note_request(RequestContext(request_id="req_1", path="/", receiving=receiving, headers=headers))
    log.info("within")


async def _nothing() -> Any:
    """Receive nothing."""
