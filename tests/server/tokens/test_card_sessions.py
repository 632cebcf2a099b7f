"""Card sessions over HTTP: opened by a partner, completed once by a page, and gone in the end."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from billfold import ids
from billfold.ids import Prefix
from tests.live import LiveServer
from tests.server.tokens.banks import PAN, Bank

NOBODY = "cse_" + "0" * 26


def opened(bank: Bank, **changes: Any) -> dict[str, Any]:
    """Open a session."""
    answer = bank.post("/v1/card-sessions", changes)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def path_of(session: dict[str, Any], *, frame: bool = False) -> str:
    """Return the path of a session's page below the tenant's base."""
    return f"/cards/{session['id']}{'/frame' if frame else ''}"


async def end_session(live: LiveServer, session_id: UUID) -> None:
    """Let a session's time be over, as the owner of its table."""
    tenant = await live.services.registry.get("alpha")
    assert live.settings.admin_database_url is not None
    connection = await asyncpg.connect(live.settings.admin_database_url.reveal())
    try:
        await connection.execute(f"SET search_path TO {tenant.schema}")
        await connection.execute("UPDATE card_sessions SET expires_at = created_at WHERE id = $1", session_id)
    finally:
        await connection.close()


@pytest.fixture
def browser(live: LiveServer) -> Any:
    """A client that has no token, as a browser has none."""
    with httpx.Client(base_url=live.base("alpha")) as client:
        yield client


class TestACardSession:
    def test_takes_one_card(self, bank: Bank, browser: httpx.Client) -> None:
        """The card's token has what the session says; a second card finds the session completed."""
        party = bank.post("/v1/parties", {"kind": "person", "name": "Ada Lovelace"}).json()["id"]
        session = opened(bank, party_id=party, metadata={"order": "4711"}, return_url="https://shop.example/done?x=1")
        assert (session["status"], session["vault_token_id"], session["frame_url"]) == ("open", None, None)
        answer = browser.post(path_of(session), data={"jwe": bank.jwe(PAN)})
        assert answer.status_code == 303
        assert answer.headers["location"] == f"https://shop.example/done?x=1&card_session={session['id']}"
        done = bank.client.get(f"/v1/card-sessions/{session['id']}").json()
        assert done["status"] == "completed"
        token = bank.client.get(f"/v1/vault-tokens/{done['vault_token_id']}").json()
        assert (token["party_id"], token["metadata"], token["card"]["last4"]) == (party, {"order": "4711"}, PAN[-4:])
        browser.post(path_of(session), data={"jwe": bank.jwe(PAN)})
        assert bank.client.get(f"/v1/card-sessions/{session['id']}").json() == done

    def test_takes_one_of_many_at_once(self, bank: Bank, browser: httpx.Client) -> None:
        """Of ten cards that come at the same time, one is kept."""
        party = bank.post("/v1/parties", {"kind": "person", "name": "Ada Lovelace"}).json()["id"]
        session = opened(bank, party_id=party)
        jwe = bank.jwe(PAN)
        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda _: browser.post(path_of(session), data={"jwe": jwe}), range(10)))
        assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
        kept = bank.client.get("/v1/vault-tokens", params={"party_id": party}).json()["data"]
        done = bank.client.get(f"/v1/card-sessions/{session['id']}").json()
        assert [token["id"] for token in kept] == [done["vault_token_id"]]

    @pytest.mark.parametrize("jwe", ["", "nonsense", "a.b.c.d.e", "4111111111111111", "x" * 9_000])
    def test_stays_open_after_what_is_no_card(self, bank: Bank, browser: httpx.Client, jwe: str) -> None:
        """Anything else gets the page again with a word of what is wrong, and nothing of what was sent."""
        session = opened(bank)
        answer = browser.post(path_of(session), data={"jwe": jwe})
        assert answer.status_code == 422
        assert not jwe or jwe not in answer.text
        assert bank.client.get(f"/v1/card-sessions/{session['id']}").json()["status"] == "open"

    def test_is_of_one_tenant(self, bank: Bank, live: LiveServer, stranger: httpx.Client) -> None:
        """Another tenant has neither the session nor the page."""
        session = opened(bank, embed_origins=["https://shop.example"])
        assert stranger.get(f"/v1/card-sessions/{session['id']}").status_code == 404
        for frame in (False, True):
            assert httpx.get(live.base("beta") + path_of(session, frame=frame)).status_code == 404

    def test_is_framed_by_whom_it_names_alone(self, bank: Bank, browser: httpx.Client) -> None:
        """The page is in no frame; the frame in those of the origins named, and there is none where none is."""
        framed = opened(bank, embed_origins=["https://shop.example", "http://localhost:8080"])
        alone = opened(bank)
        policy = browser.get(path_of(framed, frame=True)).headers["content-security-policy"]
        assert "frame-ancestors https://shop.example http://localhost:8080;" in policy
        assert "frame-ancestors 'none';" in browser.get(path_of(framed)).headers["content-security-policy"]
        assert browser.get(path_of(alone, frame=True)).status_code == 404
        assert browser.get(f"/cards/{NOBODY}").status_code == 404
        assert browser.get("/cards/no-session").status_code == 404

    @pytest.mark.parametrize(
        "wrong",
        [
            {"embed_origins": ["https://shop.example/path"]},
            {"embed_origins": ["*"]},
            {"embed_origins": ["http://shop.example"]},
            {"embed_origins": ["https://shop.example; script-src *"]},
            {"return_url": "javascript:alert(1)"},
            {"return_url": "http://shop.example/"},
            {"return_url": "https://user@shop.example/"},
            {"return_url": f"https://shop.example/?card={PAN}"},
            {"metadata": {"note": PAN}},
            {"expires_in_s": 1},
        ],
    )
    def test_refuses_what_would_open_it_to_others(self, bank: Bank, wrong: dict[str, Any]) -> None:
        """Addresses that aren't origins, schemes that run, and card numbers beside the card are refused."""
        answer = bank.post("/v1/card-sessions", wrong)
        assert answer.status_code in {400, 422}, answer.text
        assert PAN not in answer.text

    def test_ends(self, bank: Bank, browser: httpx.Client, live: LiveServer) -> None:
        """After its time nothing is taken any more."""
        session = opened(bank, expires_in_s=60)
        session_id = ids.decode(Prefix.CARD_SESSION, session["id"])

        live.run(end_session(live, session_id))
        assert browser.get(path_of(session)).status_code == 410
        assert browser.post(path_of(session), data={"jwe": bank.jwe(PAN)}).status_code == 410
        assert bank.client.get(f"/v1/card-sessions/{session['id']}").json()["status"] == "expired"
