"""The authorize endpoint: who is asked, what the client is told, and what nobody gets around."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from billfold_server.identity.authorization import codes
from billfold_server.identity.authorization.codes import Code
from billfold_server.identity.rules import OPEN_BANKING_SCOPES, OPENID_SCOPES, PLATFORM_SCOPES, TENANT_SCOPES
from billfold_server.people.pages.words import LANGUAGES, text_of, vocabulary
from tests.live import LiveServer
from tests.server.identity.flows import (
    App,
    Person,
    add_app,
    add_person,
    answer_of,
    ask,
    bring,
    challenge_of,
    code_of,
    decide,
    follow,
    later,
    stranger,
    tx_of,
)
from tests.server.people.persons import Browser

PAGE = {"Accept": "text/html"}


def claim(app: App, code: str) -> Any:
    """Claim a code as the token endpoint does it."""

    async def work() -> Any:
        async with tx_of(app.live, app.slug) as tx:
            return await codes.claim(tx, code, app.live.services.clock.now(), client_id=app.client.id)

    return app.live.run(work())


def is_page(answer: httpx.Response) -> bool:
    """Tell whether an answer is an error page of ours, which goes nowhere."""
    return (
        answer.status_code == 400
        and answer.headers["content-type"] == "text/html; charset=utf-8"
        and answer.headers["cache-control"] == "no-store"
        and "location" not in answer.headers
    )


class TestAPersonWhoAllows:
    """A person who allows."""

    @pytest.mark.parametrize("state", ["s-1", None, "a b&c=d#e?/%", "s" * 4096])
    def test_sends_the_client_a_code_with_its_state(self, app: App, person: Person, state: str | None) -> None:
        """303 to the redirect URI with code, state as it was, and who it is from (RFC 9207)."""
        browser = person.browser()
        said = answer_of(app, decide(browser, ask(browser, app, state=state, nonce="n" * 1000)))
        assert set(said) == {"code"} | ({"state"} if state else set())
        assert said.get("state") == state
        assert len(said["code"]) == 43

    def test_sends_it_to_the_address_that_was_asked_for(self, app: App, person: Person) -> None:
        """A query that the address has already is kept."""
        browser = person.browser()
        location = decide(browser, ask(browser, app, redirect_uri=app.client.redirect_uris[1])).headers["location"]
        assert location.startswith("https://app.example/cb?kept=1&code=")

    @pytest.mark.parametrize("mode", ["jwt", "query.jwt"])
    def test_sends_it_signed_where_that_is_asked_for(self, app: App, person: Person, mode: str) -> None:
        """One parameter, a JWT for this client that is good for minutes (JARM, section 2.1); so are refusals."""
        for decision, name in (("approve", "code"), ("refuse", "error")):
            browser = person.browser()
            answer = decide(browser, ask(browser, app, response_mode=mode), decision)
            assert set(dict(parse_qsl(urlsplit(answer.headers["location"]).query))) == {"response"}
            said = answer_of(app, answer)
            assert name in said
            assert said["state"] == "s-1"

    @pytest.mark.parametrize("alg", ["ES256", "PS256", "EdDSA"])
    def test_sends_it_signed_by_the_algorithm_that_the_client_registered(self, profiled, person: Person, alg) -> None:
        """Each of FAPI 2.0's algorithms (JARM, section 3)."""
        app = add_app(profiled, "sandbox", authorization_signed_response_alg=alg)
        browser = person.browser()
        assert "code" in answer_of(app, decide(browser, ask(browser, app, response_mode="jwt")))

    def test_has_allowed_what_the_code_then_brings(self, app: App, person: Person) -> None:
        """Code and grant hold what was asked and who has allowed it, in one transaction."""
        jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
        audience = f"{app.base}/v1"
        code = code_of(app, person, nonce="n-1", dpop_jkt=jkt, resource=audience)
        brought = claim(app, code)
        assert isinstance(brought, Code)
        assert brought.client_id == app.client.id
        assert (brought.nonce, brought.dpop_jkt, brought.resources) == ("n-1", jkt, [audience])
        assert brought.code_challenge == challenge_of(app.verifier)
        assert brought.redirect_uri == app.client.redirect_uris[0]

        async def grant() -> Any:
            async with tx_of(app.live, app.slug) as tx:
                return await tx.fetchrow("SELECT * FROM grants WHERE id = $1", brought.grant_id)

        row = app.live.run(grant())
        assert (row["client_id"], row["user_id"]) == (app.client.id, person.user_id)
        assert (row["scopes"], row["acr"]) == (brought.scopes, "urn:openbanking:psd2:sca")
        assert row["revoked_at"] is None

    def test_may_be_an_operator(self, profiled: LiveServer) -> None:
        """The platform asks its operators in the same way, at its own addresses."""
        app, operator = add_app(profiled, None), add_person(profiled, None)
        browser = operator.browser()
        said = answer_of(app, decide(browser, ask(browser, app, scope="platform:tenants:read")))
        assert set(said) == {"code", "state"}

    def test_comes_by_get_or_post(self, app: App, person: Person) -> None:
        """Both are taken (OpenID Connect Core, section 3.1.2.1), and lead to the same page."""
        browser = person.browser()
        form = {"client_id": app.client_id, "request_uri": app.uri()}
        page = follow(browser, browser.post("/oauth/authorize", data=form, headers=PAGE))
        assert set(answer_of(app, decide(browser, page))) == {"code", "state"}


class TestAPersonWhoRefuses:
    """A person who refuses."""

    @pytest.mark.parametrize("decision", ["refuse", "", "Approve"])
    def test_sends_the_client_access_denied(self, app: App, person: Person, decision: str) -> None:
        """Everything but the one button is a refusal (RFC 6749, section 4.1.2.1)."""
        browser = person.browser()
        said = answer_of(app, decide(browser, ask(browser, app), decision))
        assert said.pop("error_description")
        assert said == {"error": "access_denied", "state": "s-1"}


class TestTheConsentPage:
    """The consent page."""

    def test_says_who_asks_for_what_and_where_it_goes(self, profiled: LiveServer, person: Person) -> None:
        """In plain words and the person's language, everything escaped, without anything from elsewhere."""
        name = "<b>Evil</b> & Co"
        app = add_app(profiled, "sandbox", client_name=name, organisation="Fin & Tech")
        browser = person.browser()
        browser.headers["Accept-Language"] = "de"
        page = ask(browser, app, scope="profile", claims='{"userinfo":{"birthdate":null}}')
        assert page.status_code == 200
        words = vocabulary("de")
        assert words["consent.scope_profile"] in page.text
        # What isn't known of anybody isn't told, so nobody is asked whether it may be.
        assert "Geburtsdatum" not in page.text
        assert "<b>Evil" not in page.text
        assert "&lt;b&gt;Evil&lt;/b&gt; &amp; Co" in page.text
        assert "Fin &amp; Tech" in page.text
        assert "app.example" in page.text
        assert page.headers["content-language"] == "de"

    def test_says_who_is_to_answer(self, app: App, person: Person) -> None:
        """On a device that several people use, somebody else may still be signed in."""
        page = ask(person.browser(), app)
        assert text_of("en", "account.signed_in_as", name="Ada") in page.text

    def test_lets_nobody_frame_keep_or_pass_it_on(self, app: App, person: Person) -> None:
        """Clickjacking, caches and referrers (RFC 9700, section 4.16)."""
        page = ask(person.browser(), app)
        assert page.headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"

    def test_is_shown_each_time(self, app: App, person: Person) -> None:
        """Nothing is remembered silently: who has allowed it once is asked again."""
        browser = person.browser()
        for _ in range(2):
            assert "code" in answer_of(app, decide(browser, ask(browser, app)))

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_has_words_for_every_scope(self, language: str) -> None:
        """Each scope that somebody can allow is told in plain words in each language."""
        scopes = {**OPENID_SCOPES, **TENANT_SCOPES, **OPEN_BANKING_SCOPES, **PLATFORM_SCOPES}
        wanted = {f"consent.scope_{scope.replace(':', '_')}" for scope in scopes}
        assert wanted - vocabulary(language).keys() == set()

    def test_may_be_read_in_another_language(self, app: App, person: Person) -> None:
        """The page's own link changes it, and goes on with the same request."""
        browser = person.browser()
        page = ask(browser, app, ui_locales="de")
        assert page.headers["content-language"] == "de"
        link = re.search(r'href="([^"]*ui_locales=en)"', page.text)
        assert link is not None
        again = browser.get(browser.base_url.join(link.group(1).replace("&amp;", "&")), headers=PAGE)
        assert again.headers["content-language"] == "en"
        assert "code" in answer_of(app, decide(browser, again))


def to_sign_in(answer: httpx.Response) -> bool:
    """Tell whether a browser is sent to sign in."""
    return answer.status_code == 303 and "/auth/sign-in?" in answer.headers["location"]


def resume(browser: Browser, answer: httpx.Response) -> httpx.Response:
    """Come back from sign-in, as its page sends people."""
    query = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    return browser.get("/oauth/authorize/resume", params={"interaction": query["interaction"]}, headers=PAGE)


def acr_of(*values: str) -> str:
    """Return claims to which one of some classes of sign-in is essential."""
    return json.dumps({"id_token": {"acr": {"essential": True, "values": values}}})


def sent(browser: Browser, app: App, **changes: Any) -> httpx.Response:
    """Bring a request, and return what comes after the first redirect."""
    first = bring(browser, app, app.uri(**changes))
    return browser.get(browser.base_url.join(first.headers["location"]), headers=PAGE)


class TestSignIn:
    """Sign-in."""

    def test_is_where_a_stranger_goes_first(self, app: App, person: Person) -> None:
        """Whoever isn't signed in is sent there with the interaction, and comes back to the page."""
        browser = stranger(app.live, app.slug)
        answer = sent(browser, app)
        assert to_sign_in(answer)
        person.sign_in(browser)
        assert "code" in answer_of(app, decide(browser, resume(browser, answer)))

    @pytest.mark.parametrize(
        ("chosen", "wished", "spoken"), [(None, "fr de", "de"), ("en", "de", "en"), (None, "fr", "en")]
    )
    def test_speaks_as_the_client_wishes_for_this_time(
        self, app: App, chosen: str | None, wished: str, spoken: str
    ) -> None:
        """Unless the person has chosen; and their other pages don't speak for a year as some client has wished."""
        browser = stranger(app.live, app.slug)
        if chosen is not None:
            browser.get("/auth/sign-in", params={"ui_locales": chosen})
        answer = bring(browser, app, app.uri(ui_locales=wished))
        assert ("Max-Age=900" in (answer.headers.get("set-cookie") or "").partition("billfold-language")[2]) is (
            spoken == "de"
        )
        page = follow(browser, answer)
        assert (page.url.path.rpartition("/")[2], page.headers["content-language"]) == ("sign-in", spoken)
        assert "billfold-language" not in page.headers.get("set-cookie", "")

    def test_can_be_left_for_the_client(self, app: App) -> None:
        """Whoever doesn't want to sign in, or can't, goes back at either step, and the client is told."""
        for steps in ("first", "second"):
            browser = stranger(app.live, app.slug)
            page = follow(browser, sent(browser, app))
            if steps == "second":
                page = browser.submit(page, "/auth/sign-in", name="ada", password="not known")
            answer = browser.submit(page, "/oauth/authorize/decision", decision="refuse")
            assert answer_of(app, answer)["error"] == "access_denied"

    @pytest.mark.parametrize("changes", [{"prompt": "login"}, {"prompt": "select_account"}, {"max_age": "10"}])
    def test_is_asked_for_afresh(self, app: App, person: Person, changes: dict[str, str]) -> None:
        """``prompt`` and ``max_age`` want a sign-in since then; an older session doesn't do, however often it comes."""
        browser = person.browser(ago_s=100)
        answer = sent(browser, app, **changes)
        assert to_sign_in(answer)
        assert to_sign_in(resume(browser, answer))
        person.sign_in(browser)
        assert "code" in answer_of(app, decide(browser, resume(browser, answer)))

    def test_is_asked_for_afresh_by_an_age_of_zero(self, app: App, person: Person) -> None:
        """``max_age=0`` is ``prompt=login``, and a sign-in for this very request is enough."""
        browser = person.browser(ago_s=1)
        answer = sent(browser, app, max_age="0")
        assert to_sign_in(answer)
        person.sign_in(browser)
        assert "code" in answer_of(app, decide(browser, resume(browser, answer)))

    def test_is_recent_enough_within_the_age(self, app: App, person: Person) -> None:
        """A session that is younger does."""
        assert sent(person.browser(ago_s=5), app, max_age="600").status_code == 200

    @pytest.mark.parametrize(
        "asked", [{}, {"claims": '{"id_token":{"acr":{"essential":true,"values":["urn:openbanking:psd2:sca"]}}}'}]
    )
    def test_by_a_recovery_code_allows_nothing(self, app: App, person: Person, asked: dict[str, str]) -> None:
        """Whoever came by one signs in properly first, whatever is asked."""
        browser = person.browser(acr="urn:openbanking:psd2:ca")
        answer = sent(browser, app, **asked)
        assert to_sign_in(answer)
        person.sign_in(browser, acr="urn:openbanking:psd2:ca")
        assert to_sign_in(resume(browser, answer))
        strong = person.browser()
        assert "code" in answer_of(app, decide(strong, ask(strong, app, **asked)))

    def test_that_is_stronger_than_asked_is_told_as_what_was_asked(self, app: App, person: Person) -> None:
        """Two elements include one, and the client is told a class that it has named."""
        claims = '{"id_token":{"acr":{"essential":true,"value":"urn:openbanking:psd2:ca"}}}'
        assert isinstance(claim(app, code_of(app, person, claims=claims)), Code)

    @pytest.mark.parametrize("prompt", [None, "none", "login"])
    def test_that_nobody_can_reach_is_refused_without_one(self, app: App, person: Person, prompt: str | None) -> None:
        """A class that there isn't is refused at once, by its own code; nobody signs in for nothing."""
        asked = {"claims": acr_of("urn:example:blood")} | ({} if prompt is None else {"prompt": prompt})
        for browser in (stranger(app.live, app.slug), person.browser()):
            said = answer_of(app, sent(browser, app, **asked))
            assert (said["error"], said["state"]) == ("unmet_authentication_requirements", "s-1")

    def test_is_offered_where_one_of_its_classes_can_be_reached(self, app: App, person: Person) -> None:
        """Of several classes one is enough, and the person may reach it still."""
        asked = {"claims": acr_of("urn:example:blood", "urn:openbanking:psd2:sca")}
        browser = stranger(app.live, app.slug)
        answer = sent(browser, app, **asked)
        assert to_sign_in(answer)
        person.sign_in(browser)
        assert "code" in answer_of(app, decide(browser, resume(browser, answer)))

    def test_isnt_shown_where_nothing_may_be_shown(self, app: App, person: Person) -> None:
        """``prompt=none`` gets the code of OpenID Connect Core, section 3.1.2.6, with or without a session."""
        nobody = stranger(app.live, app.slug)
        assert answer_of(app, sent(nobody, app, prompt="none"))["error"] == "login_required"
        assert answer_of(app, sent(person.browser(), app, prompt="none"))["error"] == "consent_required"

    @pytest.mark.parametrize("hint", ["nobody@example.com", "ada@example.com", "<script>"])
    def test_never_tells_whom_a_hint_names(self, app: App, hint: str) -> None:
        """The answer is the same whoever is named."""
        answer = sent(stranger(app.live, app.slug), app, login_hint=hint)
        assert to_sign_in(answer)
        assert hint not in answer.headers["location"]


class TestARequestUri:
    """A request URI."""

    def test_may_come_again_until_the_person_has_answered(self, app: App, person: Person) -> None:
        """A reload, a second tab: each leads to the page, and one of them is answered."""
        uri = app.uri()
        browser = person.browser()
        pages = [follow(browser, bring(browser, app, uri)) for _ in range(3)]
        assert [page.status_code for page in pages] == [200, 200, 200]
        assert "code" in answer_of(app, decide(browser, pages[0]))
        # After that, it is over: for those who come with it, and for the pages that are open still.
        assert is_page(bring(browser, app, uri))
        assert is_page(late(browser, pages[1]))

    def test_is_brought_a_few_times(self, app: App) -> None:
        """Each time a row is written, so it can't be brought for ever."""
        uri, browser = app.uri(), stranger(app.live, app.slug)
        statuses = [bring(browser, app, uri).status_code for _ in range(31)]
        assert statuses == [303] * 30 + [429]

    def test_is_answered_once_however_many_answer(self, app: App, person: Person) -> None:
        """Of many buttons pressed at the same time one makes a code."""
        browser = person.browser()
        uri = app.uri()
        pages = [follow(browser, bring(browser, app, uri)) for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda page: decide(browser, page), pages))
        assert sorted(answer.status_code for answer in answers) == [303, *[400] * 7]

    def test_is_refused_once_it_has_been_refused(self, app: App, person: Person) -> None:
        """A refusal is an answer too."""
        uri, browser = app.uri(), person.browser()
        answer_of(app, decide(browser, follow(browser, bring(browser, app, uri)), "refuse"))
        assert is_page(bring(browser, app, uri))

    def test_is_answered_again_where_its_answer_got_lost(self, app: App, person: Person) -> None:
        """A browser that has the interaction's cookie still never got the answer; the code that was in it is void."""
        browser = person.browser()
        page = ask(browser, app)
        before = httpx.Cookies(browser.cookies)
        codes_ = []
        for _ in range(3):
            browser.cookies = httpx.Cookies(before)
            codes_.append(answer_of(app, decide(browser, page))["code"])
        assert is_page(late(browser, page))
        assert [claim(app, each) is None for each in codes_] == [True, True, False]
        browser.cookies = before
        assert is_page(late(browser, page)), "the client has redeemed it"

    def test_is_refused_again_where_that_got_lost(self, app: App, person: Person) -> None:
        """The client is told so by whichever answer arrives; what was refused isn't allowed by the other button."""
        browser = person.browser()
        page = ask(browser, app)
        before = httpx.Cookies(browser.cookies)
        for decision in ("refuse", "refuse", "approve"):
            browser.cookies = httpx.Cookies(before)
            assert answer_of(app, decide(browser, page, decision))["error"] == "access_denied"

    def test_expires(self, app: App, person: Person) -> None:
        """After its seconds it opens nothing (RFC 9126, section 2.2)."""
        uri = app.uri()
        with later(app.live, 91):
            assert is_page(bring(person.browser(), app, uri))
        assert bring(person.browser(), app, uri).status_code == 303

    def test_is_its_clients_alone(self, app: App, rival: App, person: Person) -> None:
        """Another client's id beside it is refused, and the person goes nowhere (RFC 9126, section 7.3)."""
        browser = person.browser()
        query = {"client_id": rival.client_id, "request_uri": app.uri()}
        assert is_page(browser.get("/oauth/authorize", params=query, headers=PAGE))

    def test_is_its_tenants_alone(self, app: App, profiled: LiveServer) -> None:
        """At another tenant and at the platform it opens nothing."""
        query = {"client_id": app.client_id, "request_uri": app.uri()}
        for slug in ("fapi2", None):
            assert is_page(httpx.get(f"{profiled.base(slug)}/oauth/authorize", params=query, headers=PAGE))

    @pytest.mark.parametrize(
        "uri",
        [
            None,
            "",
            "urn:ietf:params:oauth:request_uri:",
            "urn:ietf:params:oauth:request_uri:" + "x" * 43,
            "urn:ietf:params:oauth:request_uri:" + "x" * 5000,
            "https://evil.example/request.jwt",
            "\xe9" * 77,
        ],
    )
    def test_is_one_of_ours(self, app: App, uri: str | None) -> None:
        """Whatever else is brought gets a page; nothing is ever fetched (RFC 9101, section 10.4)."""
        query = {"client_id": app.client_id} | ({} if uri is None else {"request_uri": uri})
        assert is_page(httpx.get(f"{app.base}/oauth/authorize", params=query, headers=PAGE))
        plain = httpx.get(f"{app.base}/oauth/authorize", params=query, headers={"Accept": "application/json"})
        assert plain.status_code == 400
        assert plain.json()["error"] in {"invalid_request", "invalid_request_uri"}

    def test_is_the_only_way_to_ask(self, app: App, person: Person) -> None:
        """A request whose parameters stand in the address isn't one, signed or not (FAPI 2.0, section 5.3.2.2)."""
        for query in (app.request(), {"client_id": app.client_id, "request": app.object()}):
            assert is_page(person.browser().get("/oauth/authorize", params=query, headers=PAGE))

    def test_alone_says_what_is_asked(self, app: App, person: Person) -> None:
        """Parameters beside it are passed over, be they other, missing or hostile (RFC 9101, section 6.3)."""
        beside = {
            "state": "outside",
            "nonce": "outside",
            "redirect_uri": "https://evil.example/cb",
            "scope": "wallets:write",
            "response_mode": "fragment",
            "unheard_of": "x",
        }
        browser = person.browser()
        said = answer_of(app, decide(browser, follow(browser, bring(browser, app, app.uri(), **beside))))
        assert said["state"] == "s-1"
        said = answer_of(app, decide(browser, follow(browser, bring(browser, app, app.uri(state=None), **beside))))
        assert set(said) == {"code"}

    def test_is_refused_when_a_parameter_occurs_twice(self, app: App, rival: App, person: Person) -> None:
        """Two client ids, two addresses: neither is chosen."""
        first = f"client_id={rival.client_id}&client_id={app.client_id}&request_uri={app.uri()}"
        second = f"client_id={app.client_id}&request_uri={app.uri()}&request_uri={app.uri()}"
        for query in (first, second):
            assert is_page(person.browser().get(f"/oauth/authorize?{query}", headers=PAGE))
            form = {"Content-Type": "application/x-www-form-urlencoded", **PAGE}
            assert is_page(person.browser().post("/oauth/authorize", content=query, headers=form))

    @pytest.mark.parametrize("accept", ["*/*", "application/json"])
    def test_is_refused_to_a_program_without_a_page(self, app: App, accept: str) -> None:
        """Who doesn't name HTML, as browsers do, gets the code that RFC 6749 has for it, as JSON."""
        once, browser = f"client_id={app.client_id}&request_uri=x", stranger(app.live, app.slug)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        for answer in (
            browser.get("/oauth/authorize", headers={"Accept": accept}),
            browser.get(f"/oauth/authorize?{once}&request_uri=y", headers={"Accept": accept}),
            browser.get("/oauth/authorize?client_id=%ff", headers={"Accept": accept}),
            browser.post("/oauth/authorize", content="{}", headers={"Accept": accept}),
            browser.post("/oauth/authorize/decision", content="csrf=x", headers={"Accept": accept, **form}),
        ):
            assert answer.headers["content-type"] == "application/json", answer.request.url
            assert answer.json()["error"] == "invalid_request"

    def test_opens_nothing_once_its_client_is_disabled(self, profiled: LiveServer, person: Person) -> None:
        """Nobody is asked for a client that is out, and an open page sends it nothing any more."""
        app = add_app(profiled, "sandbox")
        browser = person.browser()
        page, uri = ask(browser, app), app.uri()
        change_client(app, "state = 'disabled'")
        assert is_page(bring(browser, app, uri))
        assert is_page(late(browser, page))

    def test_opens_nothing_once_its_redirect_uri_is_withdrawn(self, profiled: LiveServer, person: Person) -> None:
        """An address that is no longer the client's gets no code."""
        app = add_app(profiled, "sandbox")
        browser = person.browser()
        page = ask(browser, app)
        change_client(app, "redirect_uris = '{https://app.example/other}'")
        assert is_page(late(browser, page))


class TestAnInteraction:
    """An interaction."""

    def test_is_one_browsers_alone(self, app: App, person: Person) -> None:
        """Who is lured to the address of another's interaction can't answer it, signed in or not (consent swap)."""
        attacker, victim = person.browser(), add_person(app.live, app.slug).browser()
        address = bring(attacker, app).headers["location"]
        assert is_page(victim.get(victim.base_url.join(address), headers=PAGE))

    def test_is_answered_by_who_was_asked(self, app: App, person: Person) -> None:
        """If somebody else has signed in meanwhile, the page is shown again, to them."""
        browser = person.browser()
        page = ask(browser, app)
        other = add_person(app.live, app.slug)
        other.sign_in(browser)
        assert browser.submit(page, "/oauth/authorize/decision", decision="approve").status_code == 403
        again = follow(browser, bring(browser, app))
        assert again.status_code == 200

    def test_isnt_answered_by_a_form_of_another_site(self, app: App, person: Person) -> None:
        """Without the page's token, with one of another session or browser, or sent across sites: nothing (CSRF)."""
        browser = person.browser()
        page = ask(browser, app)
        fields = dict(re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)"', page.text))
        post = {"decision": "approve", **fields}
        address = "/oauth/authorize/decision"
        assert browser.post(address, data={**post, "csrf": ""}).status_code == 403
        assert (
            browser.post(address, data={"decision": "approve", "interaction": fields["interaction"]}).status_code == 403
        )
        other = ask(person.browser(), app)
        foreign = dict(re.findall(r'<input type="hidden" name="(csrf)" value="([^"]*)"', other.text))
        assert browser.post(address, data={**post, **foreign}).status_code == 403
        assert browser.post(address, data=post, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
        assert person.browser().post(address, data=post).status_code == 403
        assert "code" in answer_of(app, browser.post(address, data=post))

    def test_isnt_answered_by_its_address(self, app: App, person: Person) -> None:
        """A link can't press the button: only a posted form is an answer."""
        browser = person.browser()
        ask(browser, app)
        assert browser.get("/oauth/authorize/decision", params={"decision": "approve"}).status_code == 405

    def test_is_good_for_a_quarter_of_an_hour(self, app: App, person: Person) -> None:
        """After that the person begins anew at the client."""
        browser = person.browser()
        page = ask(browser, app)
        with later(app.live, 15 * 60 + 1):
            assert is_page(late(browser, page))
        assert "code" in answer_of(app, late(browser, page))

    def test_of_another_tenant_is_unknown_here(self, app: App, person: Person, profiled: LiveServer) -> None:
        """Neither its address nor its cookie counts elsewhere."""
        browser = person.browser()
        address = bring(browser, app).headers["location"].replace("/t/sandbox/", "/t/fapi2/")
        cookies = "; ".join(f"{each.name}={each.value}" for each in browser.cookies.jar)
        answer = httpx.get(profiled.url + address, headers={**PAGE, "Cookie": cookies})
        assert is_page(answer)

    def test_leaves_two_tabs_alone(self, app: App, rival: App, person: Person) -> None:
        """Two requests in one browser don't disturb each other."""
        browser = person.browser()
        one, two = ask(browser, app), ask(browser, rival)
        assert "code" in answer_of(rival, decide(browser, two))
        assert "code" in answer_of(app, decide(browser, one))


def late(browser: Browser, page: httpx.Response) -> httpx.Response:
    """Press the button of a page, and want a page."""
    fields = dict(re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)"', page.text))
    return browser.post("/oauth/authorize/decision", data={**fields, "decision": "approve"}, headers=PAGE)


def change_client(app: App, change: str) -> None:
    """Change a client behind its back."""

    async def work() -> None:
        async with tx_of(app.live, app.slug) as tx:
            await tx.execute(f"UPDATE api_clients SET {change} WHERE id = $1", app.client.id)  # noqa: S608 - the test's own

    app.live.run(work())
