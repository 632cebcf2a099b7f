"""Logs: one JSON object per line, and nothing in them that isn't for everybody's eyes."""

import json
import logging
import secrets
from collections.abc import Callable, Iterator
from typing import Literal

import asyncpg
import pytest
import structlog

from billfold_server.http.logs import configure_logs
from billfold_server.settings import Settings
from tests.tenants import Tenancy

Form = Literal["json", "console"]
NAME = "Zoe Quill"
"""Somebody's name, which no log may hold."""


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Return what has gone to standard error; the logs are put back in the end."""
    root = logging.getLogger()
    handlers, level, config = list(root.handlers), root.level, structlog.get_config()
    yield lambda: capsys.readouterr().err
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**config)


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
    "INSERT INTO parties (id, kind, name, roles, metadata, search_terms, version, created_at, updated_at) "
    "VALUES (gen_random_uuid(), $1, $2, '{customer}', '{}', '{}', 1, now(), now())"
)


@pytest.mark.parametrize("form", ["json", "console"])
class TestATraceback:
    def test_shows_no_values_of_variables(self, logged: Callable[[], str], form: Form) -> None:
        """A secret that a function was working with isn't in the log of its failure."""
        secret = secrets.token_hex(8)

        def check(client_secret: str) -> None:
            raise LookupError(len(client_secret))

        with pytest.raises(LookupError) as caught:
            check(secret)
        log_with(form, caught.value)
        lines = logged()
        assert lines.count("LookupError: 16") == 2
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
