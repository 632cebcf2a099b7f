"""What is issued for a consent: for how long, and what ends with what."""

from typing import Any

import httpx
import pytest

from billfold import errors
from billfold_server.consents import service
from tests.server.identity.authorization.consents_of import (
    Tpp,
    add_tpp,
    allow,
    read_accounts,
)
from tests.server.identity.flows import Person, answer_of, redeem, tx_of

PAGE = {"Accept": "text/html"}
SLUG = "sandbox"


class TestWhatIsIssuedForAConsent:
    """What is issued for a consent."""

    def test_never_outlives_it(self, tpp: Tpp, customer: tuple[Person, str, str]) -> None:
        """Access and refresh tokens end when it does, if they wouldn't before."""
        person, one, _ = customer
        consent, browser = tpp.ask_for(read_accounts()), person.browser()
        page = tpp.page(browser, consent, "accounts")
        code = answer_of(tpp.app, tpp.answer(browser, page, one))["code"]
        tpp.change(consent, "ends_at = now() + interval '100 seconds'")
        tokens = redeem(tpp.app, code).json()
        assert tokens["expires_in"] <= 100
        said = tpp.app.post("/oauth/introspect", {"token": tokens["refresh_token"]}).json()
        assert said["exp"] - said["iat"] <= 100
        tpp.change(consent, "ends_at = now()")
        form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        assert tpp.app.post("/oauth/token", form).json()["error"] == "invalid_grant"

    def test_waits_for_keys_that_are_away(
        self, tpp: Tpp, customer: tuple[Person, str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A code for which nothing could be signed is redeemed later, and no thief's; the consent stands."""

        async def away(*_: Any) -> None:
            raise errors.KeysUnavailable("they are away")

        person, one, _ = customer
        consent, browser = tpp.ask_for(read_accounts()), person.browser()
        code = answer_of(tpp.app, tpp.answer(browser, tpp.page(browser, consent, "openid accounts"), one))["code"]
        with monkeypatch.context() as patched:
            patched.setattr(tpp.live.services.identity.signing, "_open", away)
            assert redeem(tpp.app, code).status_code == 503
        assert redeem(tpp.app, code).status_code == 200
        assert tpp.find(consent).status == "AUTH"

    def test_lasts_as_long_as_it(self, tpp: Tpp, customer: tuple[Person, str, str]) -> None:
        """Nobody is asked again before the day that they were told, because a refresh token has run out."""
        person, one, _ = customer
        consent, browser = tpp.ask_for({**read_accounts(), "expires_at": None}), person.browser()
        page = tpp.page(browser, consent, "accounts")
        tokens = redeem(tpp.app, answer_of(tpp.app, tpp.answer(browser, page, one))["code"]).json()
        said = tpp.app.post("/oauth/introspect", {"token": tokens["refresh_token"]}).json()
        assert said["exp"] - tpp.find(consent).ends_at.timestamp() == pytest.approx(0, abs=5)

    @pytest.mark.parametrize("side", ["tpp", "staff"])
    def test_ends_with_it(self, tpp: Tpp, customer: tuple[Person, str, str], side: service.By) -> None:
        """Whoever ends the consent: nothing more is issued, and what there is is worth nothing."""
        person, one, _ = customer
        consent, tokens = allow(tpp, person, one)
        tpp.revoke(consent, side)
        # Why, in words, stays with the consent.
        assert tpp.live.run(_reasons(tpp, consent)) == ["the consent has ended"]
        form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        assert tpp.app.post("/oauth/token", form).json()["error"] == "invalid_grant"
        assert tpp.app.post("/oauth/introspect", {"token": tokens["refresh_token"]}).json() == {"active": False}

    def test_stays_revoked_where_it_opened_nothing_just_then(self, tpp: Tpp, customer: tuple[Person, str, str]) -> None:
        """A third party gives a token back while it is kept out; let in again, it has lost that token all the same."""
        blocked, (person, one, _) = add_tpp(tpp.live, SLUG), customer
        _, tokens = allow(blocked, person, one)
        blocked.block()
        assert blocked.app.post("/oauth/revoke", {"token": tokens["access_token"]}).status_code == 200
        blocked.unblock()
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert httpx.get(f"{blocked.app.base}/open-banking/v4.0/aisp/accounts", headers=headers).status_code == 401
        assert blocked.app.post("/oauth/introspect", {"token": tokens["refresh_token"]}).json()["active"]

    def test_ends_it_where_its_refresh_token_is_revoked(self, tpp: Tpp, customer: tuple[Person, str, str]) -> None:
        """A third party that gives its access back gives the consent back."""
        person, one, _ = customer
        consent, tokens = allow(tpp, person, one)
        assert tpp.app.post("/oauth/revoke", {"token": tokens["access_token"]}).status_code == 200
        assert tpp.find(consent).status == "AUTH"
        assert tpp.app.post("/oauth/revoke", {"token": tokens["refresh_token"]}).status_code == 200
        ended = tpp.find(consent)
        assert (ended.status, ended.ended_by) == ("CANC", "token")

    def test_ends_it_where_its_code_is_shown_again(self, tpp: Tpp, customer: tuple[Person, str, str]) -> None:
        """Somebody else has the code, so nothing that it brought may stand."""
        person, one, _ = customer
        consent, browser = tpp.ask_for(read_accounts()), person.browser()
        code = answer_of(tpp.app, tpp.answer(browser, tpp.page(browser, consent, "accounts"), one))["code"]
        assert [redeem(tpp.app, code).status_code for _ in range(2)] == [200, 400]
        assert tpp.find(consent).status == "CANC"

    def test_ends_it_where_the_customer_takes_it_back_from_the_app(
        self, tpp: Tpp, customer: tuple[Person, str, str]
    ) -> None:
        """The page of apps ends the consent with the grant."""
        person, one, _ = customer
        consent, _ = allow(tpp, person, one)
        browser = person.browser()
        page = browser.get("/oauth/apps", headers=PAGE)
        assert browser.submit(page, "/oauth/apps/end").status_code == 303
        ended = tpp.find(consent)
        assert (ended.status, ended.ended_by) == ("CANC", "psu")


async def _reasons(tpp: Tpp, consent: service.Consent) -> list[str]:
    async with tx_of(tpp.live, SLUG) as tx:
        return [row["reason"] for row in await tx.fetch("SELECT reason FROM grants WHERE consent_id = $1", consent.id)]
