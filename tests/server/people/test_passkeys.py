"""Passkeys: what is signed, where, by whom and how often (WebAuthn, sections 7.1 and 7.2)."""

import asyncio
import re
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from billfold import ids
from billfold.ids import Prefix
from billfold_server.app import build_app
from billfold_server.identity.grants.service import find_grant, open_grant
from billfold_server.people import queries, sca
from billfold_server.people.desk import Desk
from billfold_server.people.pages import words
from billfold_server.people.pages.forms import FIELD
from billfold_server.tenancy.transaction import TenantTx
from tests.live import LiveServer
from tests.postgres import until_waited_for
from tests.server.people.authenticator import Authenticator, options_of
from tests.server.people.paying import PAYMENT, Payments
from tests.server.people.persons import Browser, Person, a_person, a_psu


def with_passkey(live: LiveServer, slug: str = "alpha") -> tuple[Person, Authenticator, Browser]:
    """Return somebody who has enrolled with a passkey, and the browser in which they have done so."""
    person = a_person(live, slug)
    # A passkey belongs to a host with a name.
    browser = named(Browser(live, slug))
    device = Authenticator(origin_of(browser))
    browser.submit(browser.get("/enrol", params={"code": person.enrolment}), "/enrol")
    page = browser.get("/enrol/steps")
    browser.submit(page, "/enrol/password", password=person.password, again=person.password)
    page = browser.get("/enrol/steps")
    page = browser.submit(page, "/enrol/passkey", credential=device.make(options_of(page)))
    assert page.status_code == 200, page.text
    person.codes = re.findall(r"<li><code>([0-9a-z-]+)</code></li>", page.text)
    return person, device, browser


def named(browser: Browser) -> Browser:
    """Let a browser come to localhost rather than to an address."""
    browser.base_url = str(browser.base_url).replace("127.0.0.1", "localhost")
    return browser


def origin_of(browser: Browser) -> str:
    """Return the origin that a browser is at."""
    return f"http://localhost:{browser.base_url.port}"


def show(browser: Browser, device: Authenticator, **changes: Any) -> httpx.Response:
    """Sign in by a passkey, without a name."""
    page = browser.get("/sign-in")
    return browser.submit(page, "/sign-in/passkey", credential=device.show(options_of(page), **changes))


@pytest.fixture(scope="module")
def owner(live: LiveServer) -> tuple[Person, Authenticator, Browser]:
    """Somebody at alpha with a passkey."""
    return with_passkey(live)


class TestAPageAtAnAddressOfNumbers:
    """Browsers bind passkeys to names alone (WebAuthn, section 5.1.2), and a trial is at numbers."""

    def test_offers_no_passkey_and_says_why(self, live: LiveServer) -> None:
        """Neither to sign in nor after the password; at a name it does."""
        there, named_so = Browser(live, "alpha"), named(Browser(live, "alpha"))
        person = Person(live, "alpha", "/auth", user_id="", name="nobody.there", enrolment="")
        for page in (there.get("/sign-in"), person.give_password(there)):
            assert "data-passkey" not in page.text
            assert words.text_of("en", "kit.no_passkeys_here") in page.text
        for page in (named_so.get("/sign-in"), person.give_password(named_so)):
            assert "data-passkey" in page.text
            assert words.text_of("en", "kit.no_passkeys_here") not in page.text

    def test_has_people_enrol_an_app(self, live: LiveServer) -> None:
        """They aren't asked first for what no browser does there, nor led back to it."""
        person = a_person(live, "alpha")
        browser = person.browser()
        browser.submit(browser.get("/enrol", params={"code": person.enrolment}), "/enrol")
        page = browser.get("/enrol/steps")
        browser.submit(page, "/enrol/password", password=person.password, again=person.password)
        page = browser.get("/enrol/steps")
        assert "/enrol/app" in page.text
        assert "/enrol/steps" not in page.text.partition("<main")[2].partition("</main>")[0]


class TestAPageAtATenantsOwnHost:
    """Links lead to the deployment's host, so most passkeys are of that one, and browsers show none of them here."""

    async def test_says_where_passkeys_count_and_asks_for_a_code_first(self, live: LiveServer) -> None:
        """Whoever has made theirs at the deployment's host isn't led astray; there all is as ever."""
        app: Any = build_app(msgspec.structs.replace(live.settings, public_url="http://billfold.example"))
        transport = httpx.ASGITransport(app)
        for host, root in (("wallet.beta.example", "/auth"), ("billfold.example", "/t/beta/auth")):
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}{root}") as browser:
                first = await browser.get("/sign-in")
                hidden = re.search(rf'name="{FIELD}" value="([^"]+)"', first.text)
                assert hidden is not None
                form = {FIELD: hidden[1], "name": "nobody.there", "password": "x"}
                second = await browser.post("/sign-in", data=form)
            own = host == "wallet.beta.example"
            hosts = {"here": "wallet.beta.example", "elsewhere": "billfold.example"}
            told = words.text_of("en", "kit.passkeys_of_here", **hosts)
            assert [told in page.text for page in (first, second)] == [own, own]
            assert (second.text.index("/sign-in/code") < second.text.index("data-passkey")) is own
        await app.state.services.engine.close()
        await app.state.services.keys.close()
        await app.state.services.database.close()


class TestAPasskey:
    def test_signs_in_by_itself_or_after_a_password(self, live: LiveServer, owner) -> None:
        """It says itself whose it is; after a password, nothing tells which ones somebody has."""
        person, device, _ = owner
        browser = named(Browser(live, "alpha"))
        assert show(browser, device).status_code == 303
        assert browser.get("/account").status_code == 200
        browser = named(Browser(live, "alpha"))
        page = person.give_password(browser)
        options = options_of(page)
        assert not options.get("allowCredentials")
        answer = browser.submit(page, "/sign-in/passkey", credential=device.show(options))
        assert answer.status_code == 303

    @pytest.mark.parametrize(
        "change",
        [
            {"challenge": "AAAA"},
            {"rpId": "evil.example"},
            {"handle": b"somebody else"},
            {"handle": b""},
            {"signature": b"\x30\x06\x02\x01\x01\x02\x01\x01"},
        ],
        ids=["challenge", "host", "handle", "no handle", "signature"],
    )
    def test_isnt_taken_if_anything_is_wrong(self, live: LiveServer, owner, change) -> None:
        """Another challenge, host, person or signature is refused."""
        browser = named(Browser(live, "alpha"))
        assert show(browser, owner[1], **change).status_code == 422
        assert not any("session" in name for name in browser.cookies)

    def test_isnt_taken_from_another_origin_or_unverified(self, live: LiveServer, owner) -> None:
        """What a fraudulent page has got, or a device that nobody has unlocked, is refused."""
        _, device, _ = owner
        browser, origin = named(Browser(live, "alpha")), device.origin
        for wrong in ("https://alpha.evil.example", "http://localhost", origin.replace("localhost", "127.0.0.1")):
            device.origin = wrong
            assert show(browser, device).status_code == 422
        device.origin, device.verifies = origin, False
        assert show(browser, device).status_code == 422
        device.verifies = True
        assert show(browser, device).status_code == 303

    def test_isnt_taken_at_a_port_that_the_browser_names(self, live: LiveServer, owner) -> None:
        """Another server on the machine, at another port, can't hand on what it has got."""
        _, device, _ = owner
        browser, origin = named(Browser(live, "alpha")), device.origin
        browser.headers["Host"] = "localhost:1"
        device.origin = "http://localhost:1"
        assert show(browser, device).status_code == 422
        device.origin = origin

    def test_answers_a_challenge_once(self, live: LiveServer, owner) -> None:
        """The same answer, and another one to the same challenge, are refused; so is another browser."""
        _, device, _ = owner
        browser, other = named(Browser(live, "alpha")), named(Browser(live, "alpha"))
        page = browser.get("/sign-in")
        answer = device.show(options_of(page))
        form = dict(re.findall(r'name="(ticket|csrf)" value="([^"]*)"', page.text))
        csrf, *_ = re.findall(r'name="csrf" value="([^"]+)"', other.get("/sign-in").text)
        stolen = other.post("/sign-in/passkey", data={**form, "csrf": csrf, "credential": answer})
        assert stolen.status_code == 422
        assert browser.post("/sign-in/passkey", data={**form, "credential": answer}).status_code == 303
        csrf, *_ = re.findall(r'name="csrf" value="([^"]+)"', browser.get("/sign-in?interaction=x").text)
        for again in (answer, device.show(options_of(page))):
            data = {**form, "csrf": csrf, "credential": again}
            assert browser.post("/sign-in/passkey", data=data).status_code == 422

    @pytest.mark.parametrize("answer", ["", "{}", "null", "[]", '{"id": 1}', "\u00e9", '{"rawId":"AA","id":"AA"}'])
    def test_that_is_nonsense_is_refused(self, live: LiveServer, answer: str) -> None:
        """Whatever isn't a browser's answer is one that isn't taken."""
        browser = named(Browser(live, "alpha"))
        assert browser.submit(browser.get("/sign-in"), "/sign-in/passkey", credential=answer).status_code == 422

    def test_that_was_copied_is_suspended(self, live: LiveServer) -> None:
        """A counter that doesn't go up tells of two devices with a key: neither is good then, nor what they began."""
        person, device, _ = with_passkey(live)
        begun = named(Browser(live, "alpha"))
        assert show(begun, device).status_code == 303
        payments = Payments(live, person)
        agreed = payments.begin()
        page = begun.get("/approve", params={"challenge": agreed.id})
        assert begun.submit(page, "/approve", credential=device.show(options_of(page))).status_code == 303
        grant = live.run(_allow(person))
        browser = named(Browser(live, "alpha"))
        device.count = 0
        assert show(browser, device).status_code == 422
        device.count = 100
        assert show(browser, device).status_code == 422
        with live.client("alpha", ["audit:read", "users:read"]) as client:
            query = {"object_id": person.user_id, "action": "user.factor_suspended"}
            assert len(client.get("/v1/audit-records", params=query).json()["data"]) == 1
            assert client.get(f"/v1/users/{person.user_id}").json()["factors"] == ["password"]
        assert begun.get("/account").headers["location"].endswith("/sign-in")
        assert not payments.use(agreed.id)
        assert live.run(_ended_because(person, grant)) == "a passkey may have been copied"
        # A recovery code still lets its owner in, to replace it.
        answer = browser.submit(person.give_password(browser), "/sign-in/code", code=person.codes[0])
        assert answer.headers["location"].endswith("/account?notice=recovered")
        assert "suspended" in browser.get("/account").text

    def test_is_of_one_tenant_and_one_realm(self, live: LiveServer, owner) -> None:
        """At another tenant of the same host, or where staff sign in, nobody knows it."""
        for slug, root in (("beta", "/auth"), ("alpha", "/auth/staff"), (None, "/auth")):
            assert show(named(Browser(live, slug, root)), owner[1]).status_code == 422

    def test_is_enrolled_once(self, live: LiveServer) -> None:
        """One that somebody else has registered isn't taken, and neither is one that wasn't verified."""
        # A device of its own, which has another key once it has made it anew.
        _, device, _ = with_passkey(live)
        other = a_psu(live)
        browser = named(other.sign_in(named(other.browser())))
        page = browser.get("/account/passkey")
        assert browser.submit(page, "/account/passkey", credential=device.make(options_of(page))).status_code == 422
        fresh = Authenticator(origin_of(browser))
        fresh.verifies = False
        page = browser.get("/account/passkey")
        assert browser.submit(page, "/account/passkey", credential=fresh.make(options_of(page))).status_code == 422
        fresh.verifies = True
        page = browser.get("/account/passkey")
        assert browser.submit(page, "/account/passkey", credential=fresh.make(options_of(page))).status_code == 303


async def _allow(person: Person) -> UUID:
    """Write down that somebody has allowed an app something, with the factor that they have."""
    services, user_id = person.live.services, ids.decode(Prefix.USER, person.user_id)
    tenant = await services.registry.get("alpha")
    async with services.database.tx(tenant) as tx:
        factor_id = await tx.fetchval("SELECT id FROM factors WHERE user_id = $1", user_id)
        now = services.clock.now()
        return await open_grant(
            tx,
            client_id=ids.uuid7(),
            user_id=user_id,
            scopes=["openid"],
            auth_time=now,
            now=now,
            factor_ids=[factor_id],
        )


async def _ended_because(person: Person, grant_id: UUID) -> str | None:
    tenant = await person.live.services.registry.get("alpha")
    async with person.live.services.database.tx(tenant) as tx:
        grant = await find_grant(tx, grant_id)
    assert grant is not None
    return grant.reason


class TestAnApproval:
    def test_is_signed_by_the_passkey_itself(self, live: LiveServer) -> None:
        """What the passkey signs begins with the digest of what is shown, and is of no use for another agreement."""
        person, device, _ = with_passkey(live)
        payments = Payments(live, person)
        browser = named(Browser(live, "alpha"))
        assert show(browser, device).status_code == 303
        first = payments.begin()
        second = payments.begin(msgspec.structs.replace(PAYMENT, object_id="trf_y"))
        page = browser.get("/approve", params={"challenge": first.id})
        answer = device.show(options_of(page))
        # The answer to the first page, sent with the form of the second.
        form = dict(re.findall(r'name="(ticket|csrf)" value="([^"]*)"', page.text))
        swapped = browser.post("/approve", data={**form, "challenge": second.id, "credential": answer})
        assert swapped.status_code == 422
        assert not payments.use(second.id)
        page = browser.get("/approve", params={"challenge": first.id})
        assert browser.submit(page, "/approve", credential=device.show(options_of(page))).status_code == 303
        assert payments.use(first.id)

    def test_waits_for_nobody_who_waits_for_it(self, live: LiveServer) -> None:
        """Whoever asks anew has the person before what they were asked, and so has who approves it with a passkey."""
        person, device, _ = with_passkey(live)
        payments, key = Payments(live, person), ids.decode(Prefix.USER, person.user_id)
        browser = named(Browser(live, "alpha"))
        assert show(browser, device).status_code == 303
        first = payments.begin()
        page = browser.get("/approve", params={"challenge": first.id})
        answer = device.show(options_of(page))

        async def ask_anew(desk: Desk, tx: TenantTx) -> tuple[str, Any]:
            await queries.lock_user(tx, key)
            loop = asyncio.get_running_loop()
            told: Any = loop.run_in_executor(None, lambda: browser.submit(page, "/approve", credential=answer))
            await until_waited_for(tx, told)
            return (await sca.begin(desk, tx, key, PAYMENT)).id, told

        async def until(told: Any) -> httpx.Response:
            found: httpx.Response = await told
            return found

        second, told = payments.run(ask_anew)
        assert live.run(until(told)).status_code == 404
        assert not payments.use(first.id), "another one was asked for in its place"
        page = browser.get("/approve", params={"challenge": second})
        assert browser.submit(page, "/approve", credential=device.show(options_of(page))).status_code == 303
        assert payments.use(second)
