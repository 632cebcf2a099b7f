"""Who signs in, or begins to enrol, and is disabled or signed out at that moment."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx

from billfold import ids
from billfold.ids import Prefix
from billfold_server.people import queries, service
from billfold_server.people.service import Realm
from tests.callers import CALLER
from tests.live import LiveServer
from tests.postgres import until_waited_for
from tests.server.people.persons import Browser, Person, a_person, a_psu

_Way = Callable[[Realm, Any, UUID], Awaitable[Any]]


async def _disabled(realm: Realm, tx: Any, user_id: UUID) -> None:
    await service.set_user_state(realm, tx, CALLER, user_id, enabled=False)


async def _signed_out(realm: Realm, tx: Any, user_id: UUID) -> None:
    await service.sign_out_everywhere(realm, tx, CALLER, user_id)


async def meanwhile(live: LiveServer, way: _Way, person: Person, send: Any) -> httpx.Response:
    """Do something to somebody in a transaction that commits only once what they send waits for it."""
    services, key = live.services, ids.decode(Prefix.USER, person.user_id)
    tenant = await services.registry.get("alpha")
    loop = asyncio.get_running_loop()
    async with services.database.tx(tenant) as tx:
        await way(Realm.of(services, tenant), tx, key)
        answer: Any = loop.run_in_executor(None, send)
        await until_waited_for(tx, answer)
    told: httpx.Response = await answer
    return told


async def open_sessions(live: LiveServer, person: Person) -> list[str]:
    """Return at which stage somebody's sessions are that haven't ended."""
    async with live.services.database.tx(await live.services.registry.get("alpha")) as tx:
        sql = "SELECT stage FROM sessions WHERE user_id = $1 AND ended_at IS NULL"
        return [row["stage"] for row in await tx.fetch(sql, ids.decode(Prefix.USER, person.user_id))]


def _at_second_factor(person: Person, browser: Browser) -> Callable[[], httpx.Response]:
    page, code = person.give_password(browser), person.code()
    return lambda: browser.submit(page, "/sign-in/code", code=code)


def _at_the_link(person: Person, browser: Browser) -> Callable[[], httpx.Response]:
    page = browser.get("/enrol", params={"code": person.enrolment})
    return lambda: browser.submit(page, "/enrol")


class TestWhoIsDisabledMeanwhile:
    def test_isnt_signed_in(self, live: LiveServer) -> None:
        """A session that was begun after the others had ended would be there again once they are let in."""
        person = a_psu(live)
        send = _at_second_factor(person, person.browser())
        live.run(meanwhile(live, _disabled, person, send))
        assert live.run(open_sessions(live, person)) == []

    def test_doesnt_begin_to_enrol(self, live: LiveServer) -> None:
        """Their code went when they were disabled."""
        person = a_person(live, "alpha")
        send = _at_the_link(person, person.browser())
        live.run(meanwhile(live, _disabled, person, send))
        assert live.run(open_sessions(live, person)) == []

    def test_waits_for_nobody_who_waits_for_them(self, live: LiveServer) -> None:
        """Whoever disables has the person before their codes, and so has who begins to enrol."""
        person = a_person(live, "alpha")
        send = _at_the_link(person, person.browser())

        async def step_by_step() -> httpx.Response:
            services, loop = live.services, asyncio.get_running_loop()
            tenant, key = await services.registry.get("alpha"), ids.decode(Prefix.USER, person.user_id)
            async with services.database.tx(tenant) as tx:
                await queries.lock_user(tx, key)
                answer: Any = loop.run_in_executor(None, send)
                await until_waited_for(tx, answer)
                await service.set_user_state(Realm.of(services, tenant), tx, CALLER, key, enabled=False)
            told: httpx.Response = await answer
            return told

        assert live.run(step_by_step()).status_code == 422
        assert live.run(open_sessions(live, person)) == []


class TestWhoIsSignedOutMeanwhile:
    def test_signs_in_afterwards(self, live: LiveServer) -> None:
        """Who signs in comes after it: they show all that it takes."""
        person = a_psu(live)
        send = _at_second_factor(person, person.browser())
        answer = live.run(meanwhile(live, _signed_out, person, send))
        assert (answer.status_code, live.run(open_sessions(live, person))) == (303, ["signed_in"])
