"""Who asks for something in the portal, and is disabled or signed out before it is done."""

import asyncio
from collections.abc import Callable
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
from tests.server.people.persons import Browser, Person, a_person, enrol
from tests.server.portal.test_own_pages import delivery_of, make
from tests.server.portal.visits import at

WAYS = {
    "disabled": "UPDATE users SET state = 'disabled' WHERE id = $1",
    "signed out": "UPDATE sessions SET ended_at = now(), end_reason = 'signed out by the bank' WHERE user_id = $1",
}


def _client(browser: Browser) -> Callable[[], httpx.Response]:
    path = f"{ROOT}/clients/new"
    page = browser.get(path)
    return lambda: browser.submit(page, path, client_name="Payouts", **{"scope.clients:read": "on"})


def _endpoint(browser: Browser) -> Callable[[], httpx.Response]:
    path = f"{ROOT}/webhooks/new"
    page = browser.get(path)
    return lambda: browser.submit(page, path, url="https://partner.example/webhooks")


def _pressed(what: str, page: str = "", **form: str) -> Callable[[Browser], Callable[[], httpx.Response]]:
    """Press a button of an endpoint's page, or of one below it."""

    def prepare(browser: Browser) -> Callable[[], httpx.Response]:
        path, _ = make(browser)
        shown = browser.get(path + page)
        return lambda: browser.submit(shown, f"{path}/{what}", **form)

    return prepare


def _delivered_again(browser: Browser) -> Callable[[], httpx.Response]:
    page = delivery_of(browser, make(browser)[0])
    shown = browser.get(page)
    return lambda: browser.submit(shown, f"{page}/replay")


ASKED = {
    "a client": ("api_clients", _client),
    "a webhook endpoint": ("webhook_endpoints", _endpoint),
    "no endpoint any more": ("webhook_endpoints", _pressed("delete", "/delete")),
    "a test": ("audit_records", _pressed("test")),
    "events once more": ("audit_records", _pressed("replay", after="0")),
    "a delivery once more": ("audit_records", _delivered_again),
}
"""What is asked for, and in which table there is another number of rows once that is done."""


async def _count(live: LiveServer, table: str) -> int:
    async with tx_of(live, "alpha") as tx:
        return int(await tx.fetchval(f"SELECT count(*) FROM {table}"))  # noqa: S608 - a constant


async def _meanwhile(live: LiveServer, sql: str, user_id: UUID, send: Any) -> httpx.Response:
    """Shut somebody out by a transaction that commits only once what they ask for waits for it."""
    loop = asyncio.get_running_loop()
    async with tx_of(live, "alpha") as tx:
        await tx.execute(sql, user_id)
        answer: Any = loop.run_in_executor(None, send)
        await until_waited_for(tx, answer)
    told: httpx.Response = await answer
    return told


class TestWhatIsAskedForInThePortal:
    @pytest.mark.parametrize("asked", ASKED)
    @pytest.mark.parametrize("way", WAYS)
    def test_isnt_done_for_who_is_shut_out_meanwhile(self, live: LiveServer, way: str, asked: str) -> None:
        """Though the page was let through when it looked at who asks."""
        person: Person = a_person(live, "alpha", realm="staff", roles=("owner", "developer"))
        enrol(person)
        table, form_of = ASKED[asked]
        send = form_of(at(person))
        before = live.run(_count(live, table))
        answer = live.run(_meanwhile(live, WAYS[way], ids.decode(Prefix.USER, person.user_id), send))
        assert answer.status_code == 403, answer.text
        assert live.run(_count(live, table)) == before
