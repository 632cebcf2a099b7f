"""A customer is asked about a consent: sees what it says, chooses accounts, and allows or refuses it."""

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest

from billfold import ids
from billfold.ids import Prefix
from billfold_server.consents import service
from billfold_server.identity.authorization import choosing, journey
from billfold_server.people.pages.words import date_text, text_of
from tests.live import LiveServer
from tests.server.identity.authorization.consents_of import (
    PAYEE,
    Tpp,
    add_tpp,
    allow,
    claims_of,
    name,
    open_wallet,
    party_of,
    payment,
    read_accounts,
    recurring,
)
from tests.server.identity.authorization.test_payments import Visit
from tests.server.identity.flows import Person, add_person, answer_of, ask, bring, decide, follow, redeem, tx_of
from tests.server.people import persons

WRITTEN_BY_WHO_WAITS = """
SELECT c.relname AS name FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
WHERE l.mode = 'RowExclusiveLock'
    AND l.pid IN (SELECT pid FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid)))
"""
PAGE = {"Accept": "text/html"}
SLUG = "sandbox"


@pytest.fixture(scope="module")
def payer(profiled: LiveServer) -> tuple[persons.Person, str]:
    """A customer with password, app and one wallet."""
    person = persons.a_psu(profiled, SLUG)
    return person, open_wallet(profiled, SLUG, party_of(person), "Every day")


def claims_in(token: str) -> dict[str, Any]:
    """Return what a signed token says."""
    import base64  # noqa: PLC0415 - for this alone

    body = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))))


class TestAConsentToReadAccounts:
    """A consent to read accounts."""

    @pytest.mark.parametrize("language", ["en", "de"])
    def test_says_what_is_asked_in_words(self, tpp: Tpp, customer: tuple[Person, str, str], language: str) -> None:
        """Who asks, each permission under its heading, dates and end, and the customer's wallets to choose from."""
        person, one, two = customer
        page = tpp.page(person.browser(), tpp.ask_for(read_accounts()), "accounts", ui_locales=language)
        for key in ("group_accounts", "perm_ReadAccountsDetail", "perm_ReadBalances", "directions_both"):
            assert text_of(language, f"open_banking.{key}") in page.text
        assert "Pocket Ledger Ltd" in page.text
        assert {"en": "from 1 January 2026 on", "de": "ab dem 1. Januar 2026"}[language] in page.text
        assert re.findall(r'type="checkbox" id="(wal_\w+)"', page.text) == [two, one]

    def test_gives_tokens_that_are_for_it_alone(self, tpp: Tpp, customer: tuple[Person, str, str]) -> None:
        """The consent has the chosen wallet; the ID token names it, and the access token opens open banking only."""
        person, one, _ = customer
        consent, tokens = allow(tpp, person, one)
        assert consent.status == "AUTH"
        assert [ids.encode(Prefix.WALLET, each) for each in consent.wallet_ids] == [one]
        assert (consent.party_id, consent.user_id) == (person.party_id, person.user_id)
        said, access = claims_in(tokens["id_token"]), claims_in(tokens["access_token"])
        assert (said["openbanking_intent_id"], said["acr"]) == (consent.wire_id, "urn:openbanking:psd2:sca")
        assert access["aud"] == f"{tpp.app.base}/open-banking"
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert httpx.get(f"{tpp.app.base}/v1/wallets", headers=headers).status_code == 401
        userinfo = httpx.get(f"{tpp.app.base}/oauth/userinfo", headers=headers).json()
        assert userinfo["openbanking_intent_id"] == consent.wire_id

    def test_keeps_what_was_shown_as_evidence(self, tpp: Tpp, customer: tuple[Person, str, str]) -> None:
        """The words of the page in its language, when it was shown, and which wallets were chosen."""
        person, one, _ = customer
        consent, _ = allow(tpp, person, one, ui_locales="de")

        (evidence,) = tpp.record(consent).evidence
        shown = evidence.shown or {}
        assert evidence.language == "de"
        # Where nothing is to be paid, the sign-in is the strong authentication.
        assert ids.decode(Prefix.SESSION, tpp.record(consent).sca_id or "") == consent.sca_id
        assert shown["title"] == text_of("de", "open_banking.access_title", client="Pocket Ledger")
        assert shown["chosen"] == [one]

    def test_needs_one_account_at_least(self, tpp: Tpp, customer: tuple[Person, str, str]) -> None:
        """Without one the page comes again and says so; somebody else's isn't among them."""
        person, _, _ = customer
        other = add_person(tpp.live, SLUG)
        assert other.party_id is not None
        strange, browser = open_wallet(tpp.live, SLUG, other.party_id), person.browser()
        consent = tpp.ask_for(read_accounts())
        page = tpp.page(browser, consent, "accounts")
        for chosen in ((), (strange,)):
            again = tpp.answer(browser, page, *chosen)
            assert again.status_code == 422
            assert text_of("en", "open_banking.choose_some") in again.text
        assert tpp.find(consent).status == "AWAU"

    @pytest.mark.parametrize("how", ["changed", "another's", "none", "stale"])
    def test_is_allowed_only_as_it_was_shown(self, tpp: Tpp, how: str) -> None:
        """The form says which page it was; a made-up one, or one that would say something else now, comes anew."""
        person = add_person(tpp.live, SLUG)
        assert person.party_id is not None
        one = open_wallet(tpp.live, SLUG, person.party_id)
        consent, browser = tpp.ask_for(read_accounts()), person.browser()
        page = tpp.page(browser, consent, "accounts")
        (shown,) = re.findall(r'name="shown" value="([^"]*)"', page.text)
        if how == "another's":
            other = tpp.page(browser, tpp.ask_for(read_accounts()), "accounts")
            (shown,) = re.findall(r'name="shown" value="([^"]*)"', other.text)
        elif how == "stale":
            open_wallet(tpp.live, SLUG, person.party_id)
        else:
            shown = "" if how == "none" else "de" + shown[2:]
        answer = tpp.answer(browser, page, one, shown=shown)
        assert answer.headers["location"].startswith(f"/t/{SLUG}/oauth/authorize/resume?")
        assert tpp.find(consent).status == "AWAU"

    def test_is_refused_by_its_own_button(self, tpp: Tpp, customer: tuple[Person, str, str]) -> None:
        """The third party is told so, and the consent can't be authorised any more."""
        person, _, _ = customer
        consent, browser = tpp.ask_for(read_accounts()), person.browser()
        answer = decide(browser, tpp.page(browser, consent, "accounts"), "refuse")
        assert answer_of(tpp.app, answer)["error"] == "access_denied"
        assert tpp.find(consent).status == "RJCT"
        pushed = tpp.app.push(scope="accounts", claims=claims_of(consent))
        assert pushed.json()["error"] == "invalid_request"

    def test_waits_on_where_nobody_has_signed_in_to_refuse_it(self, tpp: Tpp) -> None:
        """Whoever leaves the page of sign-in goes back with an answer; the consent is its customer's to refuse."""
        consent, browser = tpp.ask_for(read_accounts()), persons.Browser(tpp.live, SLUG, "")
        page = tpp.page(browser, consent, "accounts")
        answer = browser.submit(page, "/oauth/authorize/decision", decision="refuse")
        assert answer_of(tpp.app, answer)["error"] == "access_denied"
        assert tpp.find(consent).status == "AWAU"

    def test_is_shown_to_who_signs_in_instead(self, tpp: Tpp, customer: tuple[Person, str, str]) -> None:
        """Whoever isn't the one who is signed in here needn't refuse it, and chooses among their own accounts."""
        person, one, _ = customer
        consent, browser = tpp.ask_for(read_accounts()), add_person(tpp.live, SLUG).browser()
        page = tpp.page(browser, consent, "accounts")
        (instead,) = re.findall(r'<a href="(/t/sandbox/auth/sign-in\?interaction=[^"]+)"', page.text)
        assert browser.get(browser.base_url.join(instead)).url.path.endswith("/auth/sign-in")
        person.sign_in(browser)
        page = browser.get(str(page.url), headers=PAGE)
        assert "code" in answer_of(tpp.app, tpp.answer(browser, page, one))
        assert tpp.find(consent).user_id == person.user_id

    def test_isnt_refused_by_who_wanted_to_sign_in_instead(self, tpp: Tpp) -> None:
        """They leave the page of sign-in, and whoever is signed in still hasn't answered."""
        consent, browser = tpp.ask_for(read_accounts()), add_person(tpp.live, SLUG).browser()
        page = tpp.page(browser, consent, "accounts")
        (instead,) = re.findall(r'<a href="(/t/sandbox/auth/sign-in\?interaction=[^"]+)"', page.text)
        page = browser.get(browser.base_url.join(instead), headers=PAGE)
        answer = browser.submit(page, "/oauth/authorize/decision", decision="leave")
        assert answer_of(tpp.app, answer)["error"] == "access_denied"
        assert tpp.find(consent).status == "AWAU"

    def test_may_be_named_by_authorization_details(self, tpp: Tpp, customer: tuple[Person, str, str]) -> None:
        """RFC 9396 says the same as the claim, and implies the scope."""
        person, one, _ = customer
        consent, browser = tpp.ask_for(read_accounts()), person.browser()
        named = json.dumps([{"type": "open_banking_consent", "consent_id": consent.wire_id}])
        page = ask(browser, tpp.app, scope=None, authorization_details=named)
        tokens = redeem(tpp.app, answer_of(tpp.app, tpp.answer(browser, page, one))["code"]).json()
        assert tokens["scope"] == "accounts"
        assert tokens["authorization_details"][0]["consent_id"] == consent.wire_id

    def test_is_confirmed_again_by_who_has_allowed_it(self, tpp: Tpp, customer: tuple[Person, str, str]) -> None:
        """Once its customer's authentication is too old, they allow it again for the same wallets, and nobody else."""
        person, one, two = customer
        consent, former = allow(tpp, person, one)
        tpp.change(consent, "reauthenticate_by = now() - interval '1 second'")
        form = {"grant_type": "refresh_token", "refresh_token": former["refresh_token"]}
        assert tpp.app.post("/oauth/token", form).json()["error"] == "invalid_grant"
        stranger = add_person(tpp.live, SLUG)
        browser = stranger.browser()
        sign_in = tpp.page(browser, consent, "accounts")
        # Who had signed in before may be somebody else than who is asked; who signs in for it has to be the one.
        assert sign_in.url.path.endswith("/auth/sign-in")
        stranger.sign_in(browser)
        query = {"interaction": sign_in.url.params["interaction"]}
        refused = browser.get("/oauth/authorize/resume", params=query, headers=PAGE)
        assert answer_of(tpp.app, refused)["error"] == "access_denied"
        browser = person.browser()
        page = tpp.page(browser, consent, "openid accounts")
        assert text_of("en", "open_banking.access_again_approve") in page.text
        assert two not in page.text
        tokens = redeem(tpp.app, answer_of(tpp.app, tpp.answer(browser, page))["code"]).json()
        assert tpp.app.post("/oauth/token", {**form, "refresh_token": tokens["refresh_token"]}).status_code == 200
        assert tpp.app.post("/oauth/token", form).json()["error"] == "invalid_grant"
        again = tpp.find(consent)
        assert again.status == "AUTH"
        assert again.reauthenticate_by is not None
        assert again.reauthenticate_by > consent.created_at

    def test_shows_the_accounts_that_are_meant_however_many_there_are(
        self, tpp: Tpp, customer: tuple[Person, str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Those that were allowed before, or that a request names, needn't be among the newest."""
        person, one, two = customer
        consent, _ = allow(tpp, person, one)
        monkeypatch.setattr(choosing, "_PAGE", 1)
        page = tpp.page(person.browser(), consent, "accounts")
        # What there is nothing to choose about is told by its last characters.
        assert (one[-6:] in page.text, two[-6:] in page.text) == (True, False)
        browser = person.browser()
        page = tpp.page(browser, tpp.ask_for(payment(debtor=one)), "payments")
        assert 'value="approve"' in page.text
        page = tpp.page(browser, tpp.ask_for(read_accounts()), "accounts")
        assert (one in page.text, two in page.text) == (False, True)

    def test_asks_for_a_fresh_strong_sign_in(self, tpp: Tpp, customer: tuple[Person, str, str]) -> None:
        """A session of six minutes ago, or of one element, has to sign in first."""
        person, _, _ = customer
        for how in ({"ago_s": 360}, {"acr": "urn:openbanking:psd2:ca"}):
            page = tpp.page(person.browser(**how), tpp.ask_for(read_accounts()), "accounts")
            assert page.url.path.endswith("/auth/sign-in")


class TestARequestThatNamesAConsent:
    """A request that names a consent."""

    def test_is_of_the_client_that_has_asked_for_it(self, tpp: Tpp) -> None:
        """Another one's is as unknown as one that never was."""
        rival, consent = add_tpp(tpp.live, SLUG), tpp.ask_for(read_accounts())
        unknown = msgspec.structs.replace(consent, id=ids.uuid7())
        answers = [rival.app.push(scope="accounts", claims=claims_of(each)).json() for each in (consent, unknown)]
        assert answers[0] == answers[1]
        assert answers[0]["error"] == "invalid_request"

    @pytest.mark.parametrize(
        ("scope", "error"),
        [("payments", "invalid_scope"), ("accounts payments", "invalid_scope"), ("openid", None), ("accounts", None)],
    )
    def test_has_the_scope_of_its_kind(self, tpp: Tpp, scope: str, error: str | None) -> None:
        """A consent to read accounts can't be paid with; its own scope is implied."""
        answer = tpp.app.push(scope=scope, claims=claims_of(tpp.ask_for(read_accounts())))
        assert answer.json().get("error") == error

    @pytest.mark.parametrize(
        "claims",
        [
            None,
            "{}",
            '{"id_token":{"openbanking_intent_id":null}}',
            '{"id_token":{"openbanking_intent_id":{"value":7}}}',
        ],
    )
    def test_is_required_by_third_parties_scopes(self, tpp: Tpp, claims: str | None) -> None:
        """Without a consent there is nothing that a customer could allow by them."""
        assert tpp.app.push(scope="accounts", claims=claims).json()["error"] == "invalid_request"

    def test_is_named_by_its_client_alone(self, tpp: Tpp) -> None:
        """The refusal blames what has named it: the claim, or the details (RFC 9396, section 5)."""
        theirs = add_tpp(tpp.live, SLUG).ask_for(read_accounts())
        by_claim = tpp.app.push(scope="accounts", claims=claims_of(theirs)).json()
        details = json.dumps([{"type": "open_banking_consent", "consent_id": theirs.wire_id}])
        by_details = tpp.app.push(scope="accounts", authorization_details=details).json()
        assert (by_claim["error"], by_details["error"]) == ("invalid_request", "invalid_authorization_details")
        assert "openbanking_intent_id" not in by_details["error_description"]

    def test_names_one_alone(self, tpp: Tpp) -> None:
        """Two consents in one request are refused."""
        one, other = (tpp.ask_for(read_accounts()) for _ in range(2))
        both = json.loads(claims_of(one)) | json.loads(claims_of(other, where="userinfo"))
        assert tpp.app.push(scope="accounts", claims=json.dumps(both)).json()["error"] == "invalid_request"

    def test_isnt_taken_from_a_third_party_that_is_kept_out(self, tpp: Tpp, customer: tuple[Person, str, str]) -> None:
        """Nor is one that was taken before answered, though its customer agrees."""
        blocked, (person, one, _) = add_tpp(tpp.live, SLUG), customer
        consent, browser = blocked.ask_for(read_accounts()), person.browser()
        page = blocked.page(browser, consent, "accounts")
        blocked.block()
        assert answer_of(blocked.app, blocked.answer(browser, page, one))["error"] == "access_denied"
        pushed = blocked.app.push(scope="accounts", claims=claims_of(consent))
        assert pushed.json()["error"] == "unauthorized_client"

    def test_isnt_answered_by_a_client_that_is_disabled_meanwhile(
        self, tpp: Tpp, customer: tuple[Person, str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Disabled between the button and what it does: there is nobody whom the answer could go to."""
        late, (person, one, _), seal = add_tpp(tpp.live, SLUG), customer, journey.evidence

        async def sealed(*said: Any) -> Any:
            async with tx_of(tpp.live, SLUG) as tx:
                await tx.execute("UPDATE api_clients SET state = 'disabled' WHERE id = $1", late.app.client.id)
            return await seal(*said)

        consent, browser = late.ask_for(read_accounts()), person.browser()
        page = late.page(browser, consent, "accounts")
        monkeypatch.setattr(journey, "evidence", sealed)
        assert late.answer(browser, page, one).status_code == 400
        assert late.find(consent).status == "AWAU"

    def test_can_be_for_open_banking_alone(self, tpp: Tpp) -> None:
        """What a consent is about isn't at the bank's own API."""
        claims = claims_of(tpp.ask_for(read_accounts()))
        answer = tpp.app.push(scope="accounts", claims=claims, resource=f"{tpp.app.base}/v1")
        assert answer.json()["error"] == "invalid_target"


class TestAPayment:
    """A payment."""

    def test_is_approved_as_it_was_shown(self, tpp: Tpp, payer: tuple[persons.Person, str]) -> None:
        """Amount, payee, account and reference are on both pages, and the consent is authorised by that approval."""
        person, wallet = payer
        consent, visit = tpp.ask_for(payment()), Visit(person)
        page = tpp.page(visit.browser, consent, "openid payments")
        approval = follow(visit.browser, tpp.answer(visit.browser, page, wallet))
        assert approval.url.path.endswith("/auth/approve")
        for shown in (page, approval):
            assert "1,234.56" in shown.text
            assert "Books &amp; Co" in shown.text
            assert "GB33 BUKB 2020 1555 5555 55" in shown.text
            assert "Invoice 7" in shown.text
        assert tpp.find(consent).status == "AWAU"
        code = answer_of(tpp.app, follow(visit.browser, visit.approve(approval)))["code"]
        authorised = tpp.find(consent)
        assert authorised.status == "AUTH"
        reference = re.findall(r"challenge=(sca_\w+)", str(approval.url))[0]
        assert tpp.record(consent).sca_id == reference
        assert redeem(tpp.app, code).json()["scope"] == "openid payments"

    def test_shows_the_payees_account_in_a_row_of_its_own(self, tpp: Tpp, payer: tuple[persons.Person, str]) -> None:
        """Whatever the payee is called, the number beside it is the one that is paid, on both pages."""
        person, wallet = payer
        for called, shown_as in (
            ("X, 12-34-56 12345678", "X, 12-34-56 12345678"),
            ("St James \u202eLettings <b>", "St James \ufffdLettings &lt;b&gt;"),
        ):
            asked, visit = payment(), Visit(person)
            initiation = asked["request"]["Data"]["Initiation"]
            named = {"Name": called, "SecondaryIdentification": "R-778/9"}
            initiation["CreditorAccount"] = {**initiation["CreditorAccount"], **named}
            page = tpp.page(visit.browser, tpp.ask_for(asked), "payments")
            approval = follow(visit.browser, tpp.answer(visit.browser, page, wallet))
            for shown in (page, approval):
                rows = dict(re.findall(r"<dt>(.*)</dt>\n<dd><bdi>(.*)</bdi></dd>", shown.text))
                assert (rows["To"], rows["Account"]) == (shown_as, "GB33 BUKB 2020 1555 5555 55")
                assert rows["Roll number"] == "R-778/9"
            assert "code" in answer_of(tpp.app, follow(visit.browser, visit.approve(approval)))

    def test_isnt_authorised_by_the_button_alone(self, tpp: Tpp, payer: tuple[persons.Person, str]) -> None:
        """Who comes back without having approved it is asked again, and nothing is authorised."""
        person, wallet = payer
        consent, visit = tpp.ask_for(payment()), Visit(person)
        page = tpp.page(visit.browser, consent, "payments")
        assert tpp.answer(visit.browser, page, wallet).status_code == 303
        again = visit.browser.get(str(page.url), headers=PAGE)
        assert "/oauth/authorize/decision" in again.text
        assert tpp.find(consent).status == "AWAU"

    def test_leaves_from_the_account_that_it_names(self, tpp: Tpp, payer: tuple[persons.Person, str]) -> None:
        """Where the request names one there is nothing to choose; one that isn't the customer's can't be allowed."""
        person, wallet = payer
        visit = Visit(person)
        page = tpp.page(visit.browser, tpp.ask_for(payment(debtor=wallet)), "payments")
        assert 'type="radio"' not in page.text
        assert wallet[-6:] in page.text
        strange = tpp.page(
            visit.browser, tpp.ask_for(payment(debtor=ids.encode(Prefix.WALLET, ids.uuid7()))), "payments"
        )
        assert 'value="approve"' not in strange.text
        assert answer_of(tpp.app, decide(visit.browser, strange, "refuse"))["error"] == "access_denied"

    def test_leaves_from_the_account_by_either_of_its_british_names(self, tpp: Tpp) -> None:
        """A wallet that has an IBAN is meant by its sort code and account number, and the other way round."""
        person = persons.a_psu(tpp.live, SLUG)
        wallet, other = (open_wallet(tpp.live, SLUG, party_of(person), label) for label in ("Every day", "Savings"))
        name(tpp.live, SLUG, wallet, "iban", "GB33BUKB20201555555555")
        name(tpp.live, SLUG, other, "sort_code_account_number", "20-00-00 55779911")
        visit = Visit(person)
        for scheme, number, meant in (
            ("SortCodeAccountNumber", "20201555555555", wallet),
            ("IBAN", "GB33BUKB20201555555555", wallet),
            ("IBAN", "GB69BUKB20000055779911", other),
            ("SortCodeAccountNumber", "20201555555556", None),
        ):
            asked = payment()
            asked["request"]["Data"]["Initiation"] |= {
                "CreditorAccount": {**PAYEE, "Identification": "GB29NWBK60161331926819"},
                "DebtorAccount": {"SchemeName": f"UK.OBIE.{scheme}", "Identification": number},
            }
            page = tpp.page(visit.browser, tpp.ask_for(asked), "payments")
            assert ('value="approve"' in page.text) is (meant is not None)
            assert [each for each in (wallet, other) if each[-6:] in page.text] == ([meant] if meant else [])

    def test_that_recurs_is_approved_with_its_limits(self, tpp: Tpp, payer: tuple[persons.Person, str]) -> None:
        """The most that each can be, the limits by period and the payee are what the approval is linked to."""
        person, wallet = payer
        asked, visit = recurring(), Visit(person)
        consent, last_day = tpp.ask_for(asked), date_text(asked["expires_at"] - timedelta(days=1), "en")
        page = tpp.page(visit.browser, consent, "payments")
        approval = follow(visit.browser, tpp.answer(visit.browser, page, wallet))
        for shown in (page, approval):
            for text in ("100.00", "250.00", "Books &amp; Co", last_day, "Savings"):
                assert text in shown.text
            assert "GB29 NWBK 6016 1331 9268 19" in shown.text
            assert "as “Pocket Ledger” says" in shown.text
        assert "code" in answer_of(tpp.app, follow(visit.browser, visit.approve(approval)))
        assert tpp.find(consent).status == "AUTH"

    def test_that_sweeps_stays_with_its_customer(self, tpp: Tpp, payer: tuple[persons.Person, str]) -> None:
        """To another wallet of theirs it is said to be so; to a wallet of somebody else it can't be allowed."""
        person, wallet = payer
        theirs = open_wallet(tpp.live, SLUG, party_of(person), "Savings")
        stranger_s = open_wallet(tpp.live, SLUG, party_of(persons.a_psu(tpp.live, SLUG)), "Not theirs")
        visit = Visit(person)
        for to, key in ((theirs, "vrp_Sweeping"), (stranger_s, "strange_sweeping")):
            payee = {"SchemeName": "UK.OBIE.Wallet", "Identification": to, "Name": "Ada Lovelace"}
            consent = tpp.ask_for(recurring(payee))
            page = tpp.page(visit.browser, consent, "payments")
            assert text_of("en", f"open_banking.{key}", client="Pocket Ledger") in page.text
            assert ('value="approve"' in page.text) is (to == theirs)
        assert text_of("en", "open_banking.vrp_Sweeping") not in page.text
        assert "/auth/approve" not in str(tpp.answer(visit.browser, page, wallet).headers.get("location"))
        assert answer_of(tpp.app, decide(visit.browser, page, "refuse"))["error"] == "access_denied"
        assert tpp.find(consent).status == "RJCT"

    def test_doesnt_leave_from_the_account_that_it_goes_to(self, tpp: Tpp, payer: tuple[persons.Person, str]) -> None:
        """A customer who pays themselves can't choose the payee's account, from which each order would be refused."""
        person, wallet = payer
        theirs, visit = open_wallet(tpp.live, SLUG, party_of(person), "Savings"), Visit(person)
        payee = {"SchemeName": "UK.OBIE.Wallet", "Identification": theirs, "Name": "Ada Lovelace"}
        once = payment()
        once["request"]["Data"]["Initiation"]["CreditorAccount"] = payee
        for asked in (once, recurring(payee)):
            page = tpp.page(visit.browser, tpp.ask_for(asked), "payments")
            assert (f'value="{wallet}"' in page.text, f'value="{theirs}"' in page.text) == (True, False)
            again = tpp.answer(visit.browser, page, theirs)
            assert (again.status_code, text_of("en", "open_banking.choose_one") in again.text) == (422, True)

    def test_that_recurs_is_approved_again(self, tpp: Tpp, payer: tuple[persons.Person, str]) -> None:
        """Its customer may come back while it stands: by the same limits, with a fresh approval, for new tokens."""
        person, wallet = payer
        consent, visit = tpp.ask_for(recurring()), Visit(person)
        approval = follow(
            visit.browser, tpp.answer(visit.browser, tpp.page(visit.browser, consent, "payments"), wallet)
        )
        code = answer_of(tpp.app, follow(visit.browser, visit.approve(approval)))["code"]
        former, first = redeem(tpp.app, code).json(), tpp.find(consent)
        tpp.change(consent, "reauthenticate_by = now(), status_reason = 'it looks like fraud'")
        assert tpp.app.post("/oauth/introspect", {"token": former["access_token"]}).json() == {"active": False}
        page = tpp.page(visit.browser, consent, "openid payments")
        assert 'type="radio"' not in page.text
        for text in ("go on making payments", "100.00", "250.00", wallet[-6:]):
            assert text in page.text
        approval = follow(visit.browser, tpp.answer(visit.browser, page))
        code = answer_of(tpp.app, follow(visit.browser, visit.approve(approval, person.code())))["code"]
        assert redeem(tpp.app, code).json()["scope"] == "openid payments"
        again = tpp.find(consent)
        assert (again.status, again.reauthenticate_by, again.status_reason) == ("AUTH", None, None)
        assert (again.wallet_ids, again.authorised_at, again.ends_at) == (
            first.wallet_ids,
            first.authorised_at,
            first.ends_at,
        )
        assert again.sca_id != first.sca_id


class TestOfTwoWhoCompete:
    """Of two who compete."""

    def test_one_answer_counts(self, tpp: Tpp, customer: tuple[Person, str, str]) -> None:
        """The same consent in two requests, answered at once: one is authorised, the other gets nothing."""
        person, one, _ = customer
        consent = tpp.ask_for(read_accounts())
        browsers = [person.browser() for _ in range(2)]
        pages = [tpp.page(browser, consent, "accounts") for browser in browsers]
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda each: tpp.answer(*each, one), zip(browsers, pages, strict=True)))
        # Who comes second confirms what was just allowed, gets nothing, or is shown what the page says by now.
        told = [answer_of(tpp.app, each) for each in answers if "/t/" not in each.headers["location"]]
        assert any("code" in each for each in told)
        history = tpp.live.run(_history(tpp, consent))
        assert history.count("authorise") == 1

    def test_one_counts_who_answer_the_same_request(self, tpp: Tpp, customer: tuple[Person, str, str]) -> None:
        """The request in two windows, allowed in both at once: there is one code, and the other window hears of it."""
        person, one, _ = customer
        consent, browsers = tpp.ask_for(read_accounts()), [person.browser() for _ in range(2)]
        uri = tpp.app.uri(scope="accounts", claims=claims_of(consent))
        pages = [follow(browser, bring(browser, tpp.app, uri)) for browser in browsers]
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda each: tpp.answer(*each, one), zip(browsers, pages, strict=True)))
        ends = [follow(browser, answer) for browser, answer in zip(browsers, answers, strict=True)]
        assert sorted(each.status_code for each in ends) == [303, 400]
        assert tpp.find(consent).status == "AUTH"

    def test_a_revocation_wins_in_the_end(self, tpp: Tpp, customer: tuple[Person, str, str]) -> None:
        """Authorised or not when it is revoked: afterwards it is over, and no token comes of it."""
        person, one, _ = customer
        for _ in range(3):
            consent, browser = tpp.ask_for(read_accounts()), person.browser()
            page = tpp.page(browser, consent, "accounts")
            with ThreadPoolExecutor(2) as pool:
                answer = pool.submit(tpp.answer, browser, page, one)
                pool.submit(tpp.revoke, consent).result()
            said = answer_of(tpp.app, answer.result())
            assert tpp.find(consent).status == "CANC"
            if "code" in said:
                assert redeem(tpp.app, said["code"]).json()["error"] == "invalid_grant"

    def test_nobody_waits_while_an_answer_is_written(self, tpp: Tpp, customer: tuple[Person, str, str]) -> None:
        """The event's number is taken last: grant and code are written by then."""
        person, one, _ = customer
        consent, browser = tpp.ask_for(read_accounts()), person.browser()
        page = tpp.page(browser, consent, "accounts")

        async def hold_up() -> tuple[list[str], httpx.Response]:
            async with tx_of(tpp.live, SLUG) as tx:
                await tx.fetch("SELECT FROM relay_head FOR UPDATE")
                answer = asyncio.create_task(asyncio.to_thread(tpp.answer, browser, page, one))
                while not (held := await tx.fetch(WRITTEN_BY_WHO_WAITS)) and not answer.done():
                    await asyncio.sleep(0.01)
            return [row["name"] for row in held], await answer

        written, answer = tpp.live.run(hold_up())
        assert {"consents", "grants", "authorization_codes"} <= set(written)
        assert "code" in answer_of(tpp.app, answer)


async def _history(tpp: Tpp, consent: service.Consent) -> list[str]:
    async with tx_of(tpp.live, SLUG) as tx:
        return [step.event for step in await service.list_history(tx, consent.id, limit=50) if step.to_status]
