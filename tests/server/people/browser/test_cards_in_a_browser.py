"""Cards in Chromium: typed by keyboard at the hosted page and in a partner's frame, and encrypted there."""

import json
import secrets
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus
from uuid import UUID

import httpx
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from billfold import ids
from billfold.ids import Prefix
from tests.live import LiveServer
from tests.memory import forms_of
from tests.server.people.browser.conftest import BRANDS
from tests.server.people.browser.pages import PATIENCE_S, SIZES, Screen

pytestmark = [pytest.mark.xdist_group("chromium"), pytest.mark.timeout(180)]

PAN = "5555555555554444"
CVC = "737"


def a_session(client: httpx.Client, **changes: Any) -> dict[str, Any]:
    """Open a card session."""
    answer = client.post("/v1/card-sessions", json=changes)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def written(live: LiveServer, slug: str) -> str:
    """Write a session into a bank of which the test has no client, and return its id."""
    session_id = UUID(int=secrets.randbits(128))
    async with live.services.database.tx(await live.services.registry.get(slug)) as tx:
        await tx.execute(
            "INSERT INTO card_sessions (id, client_id, embed_origins, single_use, metadata, created_at, expires_at) "
            "VALUES ($1, $1, '{}', false, '{}', now(), now() + interval '1 hour')",
            session_id,
        )
    return ids.encode(Prefix.CARD_SESSION, session_id)


def a_screen(chromium: Chrome, banks: LiveServer, slug: str) -> Screen:
    """Return a browser at a tenant, of which the pages for cards lie beside those for signing in."""
    screen = Screen(chromium, banks, slug)
    screen.base = screen.base.removesuffix("/auth")
    return screen


def enter(screen: Screen, number: str = PAN, expiry: str = "12/31") -> None:
    """Type a card, by keyboard alone, and send it."""
    for selector, text in (("#number", number), ("#expiry", expiry), ("#cvc", CVC), ("#holder", "Ada Lovelace")):
        screen.type_into(selector, text)
    screen.press_enter()


def sent(driver: Chrome) -> list[str]:
    """Return everything that the browser has asked for since this was asked last: addresses, headers and bodies."""
    entries = driver.get_log("performance")  # type: ignore[no-untyped-call]
    messages = [json.loads(each["message"])["message"] for each in entries]
    return [json.dumps(each["params"]) for each in messages if each["method"].startswith("Network.requestWillBeSent")]


class Partner:
    """A page of a partner's, with the frame in it."""

    def __init__(self) -> None:
        self.frame = ""
        partner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = f"""<!doctype html><html lang="en"><title>waiting</title><script>
                    addEventListener("message", (event) => {{
                      const {{ type, card_session: session }} = event.data;
                      if (type === "billfold.card_session.completed") document.title = session;
                    }});
                    </script><iframe title="Card" width="360" height="700" src="{partner.frame}"></iframe>"""
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(page.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://localhost:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def partner() -> Iterator[Partner]:
    """Serve a partner's page."""
    made = Partner()
    yield made
    made.server.shutdown()
    made.server.server_close()


class TestTheCardPage:
    def test_encrypts_what_is_typed(self, chromium: Chrome, banks: LiveServer) -> None:
        """A card is typed by keyboard alone; nothing that the browser sends holds its digits, and the vault has it."""
        with banks.client("sandbox") as client:
            session = a_session(client, metadata={"order": "4711"})
            screen = a_screen(chromium, banks, "sandbox")
            sent(chromium)
            screen.open(f"/cards/{session['id']}")
            enter(screen)
            screen.wait_until_there("[role=status]")
            requests = sent(chromium)
            forms = [json.loads(each).get("request", {}).get("postData") for each in requests]
            # The form that was sent has one field: neither the number nor the code has one.
            assert [set(parse_qs(form)) for form in forms if form] == [{"jwe"}]
            for said in map(unquote_plus, requests):
                assert not any(form.decode("latin-1") in said for form in forms_of(PAN))
            assert screen.complaints() == []
            assert screen.strangers() == []
            done = client.get(f"/v1/card-sessions/{session['id']}").json()
            token = client.get(f"/v1/vault-tokens/{done['vault_token_id']}").json()
            shown = {"brand": "mastercard", "bin": PAN[:8], "last4": PAN[-4:], "expiry_month": 12, "expiry_year": 2031}
            assert token["card"] == shown

    def test_says_what_is_wrong_before_anything_is_sent(self, chromium: Chrome, banks: LiveServer) -> None:
        """A wrong digit and an old card are told beside their fields, and the browser asks nothing of the server."""
        with banks.client("sandbox") as client:
            session = a_session(client)
        screen = a_screen(chromium, banks, "sandbox")
        screen.open(f"/cards/{session['id']}")
        sent(chromium)
        enter(screen, number="5555555555554445")
        screen.wait_until_there("[data-complaint]")
        assert chromium.execute_script("return document.activeElement.id") == "number"
        screen.fill(number=PAN, expiry="01/20")
        screen.tab_to("main button")
        screen.press_enter()
        screen.wait_until_there("#expiry[aria-invalid]")
        assert sent(chromium) == []

    @pytest.mark.parametrize("brand", BRANDS)
    def test_can_be_used_by_everybody(self, chromium: Chrome, banks: LiveServer, axe: str, brand: str) -> None:
        """axe-core finds nothing, in both brands, languages and sizes; nothing must be scrolled sideways."""
        session = banks.run(written(banks, brand))
        screen = a_screen(chromium, banks, brand)
        for size in SIZES:
            screen.resize(size)
            for language in ("en", "de"):
                screen.open(f"/cards/{session}?ui_locales={language}")
                assert screen.violations(axe) == []
                assert not screen.overflows()
                screen.picture(f"card-{brand}-{size}-{language}")


class TestTheCardFrame:
    def test_tells_the_page_around_it(self, chromium: Chrome, banks: LiveServer, partner: Partner) -> None:
        """In the page of an origin that was named, a card is entered, and the page hears of it."""
        with banks.client("sandbox") as client:
            session = a_session(client, embed_origins=[partner.origin])
            partner.frame = session["frame_url"]
            screen = a_screen(chromium, banks, "sandbox")
            chromium.get(partner.origin)
            chromium.switch_to.frame(chromium.find_element(By.TAG_NAME, "iframe"))
            screen.fill(number=PAN, expiry="12/31", cvc=CVC)
            screen.picture("card-frame")
            screen.click("main button")
            chromium.switch_to.default_content()
            WebDriverWait(chromium, PATIENCE_S).until(lambda driver: driver.title == session["id"])
            assert client.get(f"/v1/card-sessions/{session['id']}").json()["status"] == "completed"

    def test_stays_empty_elsewhere(self, chromium: Chrome, banks: LiveServer, partner: Partner) -> None:
        """In any other page the browser shows nothing of it."""
        with banks.client("sandbox") as client:
            session = a_session(client, embed_origins=["https://shop.example"])
        partner.frame = session["frame_url"]
        screen = a_screen(chromium, banks, "sandbox")
        chromium.get(partner.origin)
        chromium.switch_to.frame(chromium.find_element(By.TAG_NAME, "iframe"))
        assert chromium.find_elements(By.ID, "number") == []
        chromium.switch_to.default_content()

        def complained(driver: Chrome) -> bool:
            driver.refresh()
            return any("frame-ancestors" in each for each in screen.complaints())

        # The console is told by another process than the page is shown by, and on a busy machine not of each refusal.
        WebDriverWait(chromium, PATIENCE_S).until(complained)
