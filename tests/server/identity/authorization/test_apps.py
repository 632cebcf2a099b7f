"""What a person has allowed apps: shown to them, and taken back by them alone."""

import re
from typing import Any

import httpx

from billfold_server.identity.authorization.codes import digest_of
from billfold_server.identity.grants.service import open_grant
from billfold_server.people.pages.words import text_of
from tests.live import LiveServer
from tests.server.identity.flows import App, add_app, add_person, code_of, stranger, tx_of
from tests.server.people.persons import Browser

PAGE = {"Accept": "text/html"}


def grant_of(app: App, code: str) -> Any:
    """Return the grant that a code stands for."""
    of = "SELECT grant_id FROM authorization_codes WHERE digest = $1"
    find = f"SELECT id, revoked_at, reason FROM grants WHERE id = ({of})"  # noqa: S608 - constants

    async def work() -> Any:
        async with tx_of(app.live, app.slug) as tx:
            return await tx.fetchrow(find, digest_of(code))

    return app.live.run(work())


def apps_of(browser: Browser) -> httpx.Response:
    """Open the page."""
    return browser.get("/oauth/apps", headers=PAGE)


def take_back(browser: Browser, page: httpx.Response, **changes: str) -> httpx.Response:
    """Press the first button of the page."""
    fields = dict(reversed(re.findall(r'<input type="hidden" name="(csrf|grant)" value="([^"]*)"', page.text)))
    return browser.post("/oauth/apps/end", data={**fields, **changes})


class TestThePageOfApps:
    """The page of apps."""

    def test_shows_what_was_allowed_and_takes_it_back(self, profiled: LiveServer) -> None:
        """App and words of the consent, newest first; one button ends it with all that was issued by it."""
        person = add_person(profiled, "sandbox")
        one, two = (add_app(profiled, "sandbox", client_name=name) for name in ("One & Co", "Two"))
        browser = person.browser()
        assert text_of("en", "consent.apps_none") in apps_of(browser).text
        first, second = code_of(one, person, scope="openid profile"), code_of(two, person)
        page = apps_of(browser)
        assert page.text.index("<bdi>Two</bdi>") < page.text.index("<bdi>One &amp; Co</bdi>")
        assert text_of("en", "consent.scope_profile") in page.text
        assert take_back(browser, page).status_code == 303
        ended = grant_of(two, second)
        assert ended["revoked_at"] is not None
        assert ended["reason"] == "taken back by the user"
        assert grant_of(one, first)["revoked_at"] is None
        assert "<bdi>Two</bdi>" not in apps_of(browser).text

    def test_is_the_persons_own(self, app: App, profiled: LiveServer) -> None:
        """Nobody sees or ends what somebody else has allowed, and nobody at all without signing in."""
        person, other = add_person(profiled, "sandbox"), add_person(profiled, "sandbox")
        code = code_of(app, person)
        theirs = re.findall(r'name="grant" value="([^"]*)"', apps_of(person.browser()).text)
        code_of(app, other)
        browser = other.browser()
        page = apps_of(browser)
        assert theirs[0] not in page.text
        for grant in (theirs[0], "grt_x", ""):
            assert take_back(browser, page, grant=grant).status_code == 303
        assert grant_of(app, code)["revoked_at"] is None
        assert apps_of(stranger(profiled, "sandbox")).headers["location"].endswith("/auth/sign-in?to=%2Foauth%2Fapps")

    def test_shows_a_page_at_a_time(self, app: App, profiled: LiveServer) -> None:
        """However much somebody has allowed, a page shows 25, and leads to the older ones."""
        person = add_person(profiled, "sandbox")

        async def allow() -> None:
            async with tx_of(profiled, "sandbox") as tx:
                now = profiled.services.clock.now()
                for _ in range(27):
                    await open_grant(
                        tx,
                        client_id=app.client.id,
                        user_id=person.user_id,
                        scopes=["openid"],
                        auth_time=now,
                        now=now,
                    )

        profiled.run(allow())
        browser = person.browser()
        page = apps_of(browser)
        (older,) = re.findall(r'href="/t/sandbox(/oauth/apps\?before=[a-z0-9_]+)"', page.text)
        rest = browser.get(older, headers=PAGE)
        assert (page.text.count('name="grant"'), rest.text.count('name="grant"')) == (25, 2)
        assert "before=" not in rest.text
        assert browser.get("/oauth/apps?before=nonsense", headers=PAGE).text.count('name="grant"') == 25

    def test_isnt_answered_by_a_form_of_another_site(self, app: App, profiled: LiveServer) -> None:
        """Without the page's token nothing ends (CSRF)."""
        person = add_person(profiled, "sandbox")
        code = code_of(app, person)
        browser = person.browser()
        assert take_back(browser, apps_of(browser), csrf="").status_code == 403
        assert grant_of(app, code)["revoked_at"] is None
