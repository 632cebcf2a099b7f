"""People for tests: made as a bank makes them, and signed in over HTTP as a browser does it.

person = a_psu(live, "alpha")           # enrolled with password and authenticator app
browser = person.sign_in()              # an HTTP client with their session
live.client("alpha").get(…)             # somebody else's
"""

import html
import re
import secrets
import time
from typing import Any

import httpx
import pyotp

from billfold import ids
from billfold.contract.roles import StaffRole
from billfold.contract.users import CreateUser, LoginRealm
from billfold.ids import Prefix
from billfold_server.people import service
from tests.callers import CALLER
from tests.live import LiveServer
from tests.parties import create_party

__all__ = ["PASSWORD", "Browser", "Person", "a_person", "a_psu", "an_operator", "enrol", "let_in"]

PASSWORD = "seven quiet herons under glass"
_HIDDEN = re.compile(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">')
_FORM = re.compile(r'<form[^>]* action="([^"]*)"[^>]*>(.*?)</form>', re.DOTALL)


class Browser(httpx.Client):
    """A browser without scripts: it keeps cookies, follows nothing by itself, and sends the hidden fields of forms.

    Args:
        live: The server.
        slug: The tenant; None is the platform.
        root: Below which the pages of the realm lie.
    """

    def __init__(self, live: LiveServer, slug: str | None, root: str = "/auth") -> None:
        # Nobody closes browsers, so they keep no connection.
        limits = httpx.Limits(max_keepalive_connections=0)
        super().__init__(base_url=live.base(slug) + root, timeout=30, limits=limits, verify=live.trust)

    def submit(self, page: httpx.Response, path: str, **fields: str) -> httpx.Response:
        """Send the form of a page that goes to a path, with its hidden fields and these."""
        for action, content in _FORM.findall(page.text):
            if action.endswith(path):
                hidden = {name: html.unescape(value) for name, value in _HIDDEN.findall(content)}
                return self.post(path, data={**hidden, **fields})
        msg = f"the page has no form that goes to {path}: {page.status_code} {page.text[:2000]}"
        raise AssertionError(msg)


class Person:
    """Somebody who can sign in.

    Attributes:
        live: Where.
        slug: The tenant; None is the platform.
        root: Below which the pages of their realm lie.
        user_id: Their id.
        name: What they type.
        secret: Of their authenticator app, once they have enrolled one.
        codes: Their recovery codes.
        enrolment: The one-time code that they were given.
    """

    def __init__(
        self, live: LiveServer, slug: str | None, root: str, *, user_id: str, name: str, enrolment: str
    ) -> None:
        self.live, self.slug, self.root = live, slug, root
        self.user_id, self.name, self.enrolment = user_id, name, enrolment
        self.password = PASSWORD
        self.secret = ""
        self.codes: list[str] = []
        self.spent = 0

    def code(self) -> str:
        """Return a code of the app that hasn't been used, and that is good for half a minute at least.

        The one before the present one, which is good as well, may no longer be when it arrives.
        """
        present = int(time.time()) // 30
        step = max(present, self.spent + 1)
        if step > present + 1:
            # Rather than wait for half a minute, let the server forget that the present codes were used.
            self.live.run(self._forget_codes())
            step = present
        self.spent = step
        return pyotp.TOTP(self.secret).generate_otp(step)

    async def _forget_codes(self) -> None:
        services = self.live.services
        database = services.database
        tenant = None if self.slug is None else await services.registry.get(self.slug)
        async with database.platform_tx() if tenant is None else database.tx(tenant) as tx:
            await tx.execute(
                "UPDATE factors SET last_step = 0 WHERE user_id = $1 AND kind = 'totp'",
                ids.decode(Prefix.USER, self.user_id),
            )

    def browser(self) -> Browser:
        """Return a browser that has never been here."""
        return Browser(self.live, self.slug, self.root)

    def give_password(self, browser: Browser, *, interaction: str | None = None) -> httpx.Response:
        """Type name and password, and return the page of the second factor."""
        page = browser.get("/sign-in", params={"interaction": interaction} if interaction else None)
        return browser.submit(page, "/sign-in", name=self.name, password=self.password)

    def sign_in(self, browser: Browser | None = None, *, interaction: str | None = None) -> Browser:
        """Sign in with password and app, and return the browser."""
        browser = browser or self.browser()
        answer = browser.submit(self.give_password(browser, interaction=interaction), "/sign-in/code", code=self.code())
        assert answer.status_code == 303, answer.text
        return browser


def enrol(person: Person, browser: Browser | None = None) -> Browser:
    """Enrol somebody with password and authenticator app by their one-time code."""
    browser = browser or person.browser()
    page = browser.get("/enrol", params={"code": person.enrolment})
    assert browser.submit(page, "/enrol").status_code == 303
    page = browser.get("/enrol/steps")
    assert browser.submit(page, "/enrol/password", password=person.password, again=person.password).status_code == 303
    page = browser.get("/enrol/steps", params={"by": "app"})
    (spaced,) = re.findall(r"<code>([A-Z2-7 ]{20,})</code>", page.text)
    person.secret, person.spent = spaced.replace(" ", ""), 0
    page = browser.submit(page, "/enrol/app", code=person.code())
    assert page.status_code == 200, page.text
    person.codes = re.findall(r"<li><code>([0-9a-z-]+)</code></li>", page.text)
    assert len(person.codes) == 10
    return browser


def a_person(
    live: LiveServer,
    slug: str,
    *,
    realm: str = "psu",
    name: str | None = None,
    roles: tuple[str, ...] = (),
    party_id: str | None = None,
) -> Person:
    """Create somebody at a tenant who has yet to enrol; a customer is a new party, unless one is named."""
    name = name or f"person.{secrets.token_hex(4)}"

    async def create() -> Any:
        services = live.services
        tenant = await services.registry.get(slug)
        own = party_id
        if own is None and realm == "psu":
            own = (await create_party(services, tenant)).id
        async with services.database.tx(tenant) as tx:
            body = CreateUser(
                login_realm=LoginRealm(realm),
                login_name=name,
                display_name="Ada Lovelace",
                party_id=own,
                roles=[StaffRole(role) for role in roles],
            )
            home = service.Realm.of(services, tenant)
            user = await service.create_user(home, tx, CALLER, body)
            enrolment = await service.new_enrolment_code(home, tx, CALLER, ids.decode(Prefix.USER, user.id))
            return user.id, enrolment.code

    user_id, code = live.run(create())
    root = "/auth/staff" if realm == "staff" else "/auth"
    return Person(live, slug, root, user_id=user_id, name=name, enrolment=code)


def a_psu(live: LiveServer, slug: str = "alpha") -> Person:
    """Return a payment service user who has enrolled."""
    person = a_person(live, slug)
    enrol(person)
    return person


def an_operator(live: LiveServer) -> Person:
    """Create an operator of the platform who has yet to enrol."""
    name = f"operator.{secrets.token_hex(4)}"

    async def create() -> Any:
        services = live.services
        async with services.database.platform_tx() as tx:
            home = service.Realm.of(services, None)
            user_id = await service.create_operator(home, tx, CALLER, login_name=name, display_name="Grace Hopper")
            enrolment = await service.new_enrolment_code(home, tx, CALLER, user_id)
            return ids.encode(Prefix.USER, user_id), enrolment.code

    user_id, code = live.run(create())
    return Person(live, None, "/auth", user_id=user_id, name=name, enrolment=code)


def let_in(operator: Person, *, enabled: bool) -> None:
    """Let an operator in again, or disable them, at the server's machine."""

    async def change() -> None:
        services = operator.live.services
        async with services.database.platform_tx() as tx:
            home, user_id = service.Realm.of(services, None), ids.decode(Prefix.USER, operator.user_id)
            await service.set_user_state(home, tx, CALLER, user_id, enabled=enabled)

    operator.live.run(change())
