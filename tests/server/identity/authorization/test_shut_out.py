"""Who allows something, or is allowed it, and is shut out between their answer and what follows from it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.live import LiveServer
from tests.postgres import until_waited_for
from tests.server.identity.flows import App, Person, add_app, add_person, answer_of, ask, decide, tx_of

SLUGS = ("alpha", None)
_Way = Callable[[Any, Person, App], Awaitable[Any]]


async def _person(tx: Any, person: Person, _: App) -> None:
    await tx.execute("UPDATE users SET state = 'disabled' WHERE id = $1", person.user_id)


async def _client(tx: Any, _: Person, app: App) -> None:
    await tx.execute("UPDATE api_clients SET state = 'disabled' WHERE id = $1", app.client.id)


async def _session(tx: Any, person: Person, _: App) -> None:
    await tx.execute(
        "UPDATE sessions SET ended_at = now(), end_reason = 'signed out by the bank' WHERE user_id = $1", person.user_id
    )


WAYS: dict[str, _Way] = {"person": _person, "client": _client, "session": _session}


async def answered_meanwhile(live: LiveServer, way: _Way, person: Person, app: App, send: Any) -> httpx.Response:
    """Let somebody be shut out by a transaction that commits only once what follows from their answer waits for it."""
    loop = asyncio.get_running_loop()
    async with tx_of(live, person.slug) as tx:
        await way(tx, person, app)
        answer: Any = loop.run_in_executor(None, send)
        await until_waited_for(tx, answer)
    told: httpx.Response = await answer
    return told


async def grants_of(live: LiveServer, person: Person) -> int:
    """Return how many grants of somebody there are."""
    async with tx_of(live, person.slug) as tx:
        found: int = await tx.fetchval("SELECT count(*) FROM grants WHERE user_id = $1", person.user_id)
    return found


class TestAnAnswer:
    @pytest.mark.parametrize("name", WAYS)
    @pytest.mark.parametrize("slug", SLUGS)
    def test_gives_nothing_once_one_of_the_two_is_shut_out(self, live: LiveServer, slug: str | None, name: str) -> None:
        """A grant that was opened after they were shut out would stand again as soon as they are let in."""
        app, person = add_app(live, slug), add_person(live, slug)
        browser = person.browser()
        page = ask(browser, app)
        answer = live.run(answered_meanwhile(live, WAYS[name], person, app, lambda: decide(browser, page)))
        assert answer.status_code == 400, answer.text
        assert live.run(grants_of(live, person)) == 0

    @pytest.mark.parametrize("slug", SLUGS)
    def test_gives_what_is_allowed_where_nobody_is(self, live: LiveServer, slug: str | None) -> None:
        """By the same way."""
        app, person = add_app(live, slug), add_person(live, slug)
        browser = person.browser()
        assert "code" in answer_of(app, decide(browser, ask(browser, app)))
        assert live.run(grants_of(live, person)) == 1
