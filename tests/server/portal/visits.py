"""Visits to the portal, and the second person whom some of what is done there waits for."""

import re

import httpx
import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.http.routing import Call
from billfold_server.portal.pages import ROOT
from tests.callers import CALLER
from tests.live import LiveServer
from tests.server.people.persons import Browser, Person

__all__ = ["agree", "at", "call_of", "token_of"]


def at(person: Person) -> Browser:
    """Return the browser of somebody who has enrolled, with addresses of the whole tenant."""
    browser = person.sign_in()
    browser.base_url = httpx.URL(person.live.base(str(person.slug)))
    return browser


def token_of(browser: Browser) -> str:
    """Return the token that forms of this visit have."""
    return str(re.findall(r'name="csrf" value="([^"]+)"', browser.get(f"{ROOT}/requests").text)[0])


async def call_of(person: Person, path: str, *scopes: str) -> Call:
    """Return a request of somebody's, who may do this."""
    live, user_id = person.live, ids.decode(Prefix.USER, person.user_id)
    return Call(
        services=live.services,
        caller=msgspec.structs.replace(CALLER, actor=person.user_id, user_id=user_id, scopes=frozenset(scopes)),
        request_id="req_1",
        method="POST",
        path=path,
        headers={},
        base_url=live.base(person.slug),
        tenant_or_none=await live.services.registry.get(str(person.slug)),
    )


async def agree(live: LiveServer, approver: Person, approval_id: str) -> None:
    """Approve something as somebody else than who has asked."""
    call = await call_of(approver, f"/v1/approvals/{approval_id}/approve")
    await live.services.approvals.decide(call, ids.decode(Prefix.APPROVAL, approval_id), "approve", None)
