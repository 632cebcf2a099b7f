"""Pages of one session that are asked for at the same time, as by somebody who has several tabs open."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import httpx
import pytest

from billfold import ids
from billfold.ids import Prefix
from billfold_server.portal.pages import ROOT
from tests.live import LiveServer
from tests.postgres import until_waited_for
from tests.server.identity.flows import tx_of
from tests.server.people.paying import Payments
from tests.server.people.persons import Browser, Person, a_psu
from tests.server.portal.test_own_pages import delivery_of, make

_PATIENCE_S = 20
_LONG_AGO = "UPDATE sessions SET last_seen_at = last_seen_at - interval '1 minute' WHERE user_id = $1"
_HOLD = "SELECT FROM sessions WHERE user_id = $1 FOR UPDATE"
_HOLD_ASKED = "SELECT FROM sca_challenges WHERE user_id = $1 FOR UPDATE"


@pytest.fixture(scope="module")
def endpoint(browser: Browser) -> str:
    """Return the page of an endpoint."""
    return make(browser)[0]


@pytest.fixture(scope="module")
def delivery(browser: Browser, endpoint: str) -> str:
    """Return the page of a delivery to it."""
    return delivery_of(browser, endpoint)


async def _while_held(live: LiveServer, user_id: UUID, *holds: str, pages: Sequence[Any]) -> list[httpx.Response]:
    """Ask for pages at the same time while somebody's session, not seen for a while, is held by others."""
    loop = asyncio.get_running_loop()
    async with tx_of(live, "alpha") as tx:
        await tx.execute(_LONG_AGO, user_id)
    async with tx_of(live, "alpha") as tx:
        for each in holds:
            await tx.execute(each, user_id)
        asked = [loop.run_in_executor(None, send) for send in pages]
        return list(await asyncio.wait_for(asyncio.gather(*asked), _PATIENCE_S))


class TestPagesThatOnlyRead:
    def test_wait_for_nobody(self, live: LiveServer, developer: Person, browser: Browser, delivery: str) -> None:
        """Neither for what their session does meanwhile, nor for one another."""
        pages = [delivery, f"{ROOT}/webhooks", "/auth/staff/account"]
        user_id = ids.decode(Prefix.USER, developer.user_id)
        sends = [lambda path=path: browser.get(path) for path in pages * 2]
        shown = live.run(_while_held(live, user_id, _HOLD, pages=sends))
        assert [each.status_code for each in shown] == [200] * len(sends)

    def test_show_what_is_to_be_approved_while_it_is_answered(self, live: LiveServer) -> None:
        """In another tab, as where somebody goes back after they have pressed a button of a slow network's page."""
        person = a_psu(live)
        browser, challenge = person.sign_in(), Payments(live, person).begin()
        user_id = ids.decode(Prefix.USER, person.user_id)
        send = [lambda: browser.get("/approve", params={"challenge": challenge.id})] * 2
        shown = live.run(_while_held(live, user_id, _HOLD, _HOLD_ASKED, pages=send))
        assert [each.status_code for each in shown] == [200, 200]

    def test_are_noted_as_the_sessions_last_request(self, live: LiveServer, developer: Person, browser: Browser):
        """Where nobody holds it: a session that is used doesn't end for being idle."""
        user_id = ids.decode(Prefix.USER, developer.user_id)

        async def seen() -> Any:
            async with tx_of(live, "alpha") as tx:
                await tx.execute(_LONG_AGO, user_id)
            await asyncio.get_running_loop().run_in_executor(None, browser.get, f"{ROOT}/webhooks")
            async with tx_of(live, "alpha") as tx:
                return await tx.fetchval("SELECT max(last_seen_at) FROM sessions WHERE user_id = $1", user_id)

        assert abs((live.run(seen()) - live.services.clock.now()).total_seconds()) < _PATIENCE_S


class TestAPageThatChangesSomething:
    def test_waits_for_what_the_session_does_meanwhile(
        self, live: LiveServer, developer: Person, browser: Browser, endpoint: str
    ) -> None:
        """It may be that it ends."""
        page = browser.get(endpoint)

        async def held() -> httpx.Response:
            loop = asyncio.get_running_loop()
            async with tx_of(live, "alpha") as tx:
                await tx.execute(_HOLD, ids.decode(Prefix.USER, developer.user_id))
                answer: Any = loop.run_in_executor(None, lambda: browser.submit(page, f"{endpoint}/test"))
                await until_waited_for(tx, answer)
            told: httpx.Response = await answer
            return told

        assert live.run(held()).headers["location"].endswith("?notice=tested")
