"""Strong customer authentication: linked to amount and payee, once, for five minutes; exempt only by policy."""

from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold import ids
from billfold.ids import Prefix
from billfold_server.people import sca
from billfold_server.people.exemptions import History, Linked, exemption_for
from billfold_server.tenancy.manifest import Sca
from tests.live import LiveServer
from tests.server.people.paying import PAYMENT, Payments
from tests.server.people.persons import Browser, Person, a_psu
from tests.tenants import manifest

POLICY = Sca(
    low_value_max_minor={"EUR": 3_000},
    low_value_total_minor={"EUR": 10_000},
    low_value_count=5,
    trusted_beneficiaries=True,
    recurring=True,
)
LINKED = st.builds(
    Linked,
    kind=st.sampled_from(["payment", "recurring_payment", "consent"]),
    object_id=st.none() | st.text(max_size=5),
    amount_minor=st.none() | st.integers(0, 10**6),
    currency=st.none() | st.sampled_from(["EUR", "USD"]),
    payee=st.none() | st.text(max_size=5),
)
SOMEBODY: dict[str, Any] = {"owner": "ten_x", "user_id": UUID(int=1), "challenge_id": UUID(int=2), "nonce": bytes(32)}


class TestTheDigest:
    @given(LINKED, LINKED)
    def test_is_that_of_one_action_alone(self, one: Linked, other: Linked) -> None:
        """Two actions have one digest only if they are the same in everything that is shown (article 5(1)(d))."""
        digests = [sca.digest_of(bytes(32), each, **SOMEBODY) for each in (one, other)]
        assert (digests[0] == digests[1]) is (one == other)

    @pytest.mark.parametrize(
        "change",
        [{"owner": "ten_y"}, {"user_id": UUID(int=9)}, {"challenge_id": UUID(int=9)}, {"nonce": b"1" * 32}],
        ids=lambda change: next(iter(change)),
    )
    def test_is_one_persons_and_one_times(self, change: dict[str, Any]) -> None:
        """Neither tenant, person nor challenge can be exchanged."""
        first = sca.digest_of(bytes(32), PAYMENT, **SOMEBODY)
        assert sca.digest_of(bytes(32), PAYMENT, **{**SOMEBODY, **change}) != first


class TestAnExemption:
    @given(LINKED, st.builds(History, exempted=st.integers(0, 9), exempted_minor=st.integers(0, 20_000)))
    def test_is_never_made_without_a_policy(self, action: Linked, history: History) -> None:
        """A manifest that says nothing exempts nothing."""
        assert exemption_for(Sca(), action, history) is None

    @given(st.integers(1, 5_000), st.integers(0, 9), st.integers(0, 20_000))
    def test_for_low_value_keeps_within_all_three_bounds(self, amount: int, number: int, total: int) -> None:
        """Article 16: at most 30 euros, five payments, and 100 euros since the last authentication."""
        action = Linked(kind="payment", amount_minor=amount, currency="EUR", payee="x")
        found = exemption_for(POLICY, action, History(exempted=number, exempted_minor=total))
        assert (found is not None) is (amount <= 3_000 and number < 5 and total + amount <= 10_000)

    def test_for_a_series_or_a_trusted_payee_needs_an_authentication_before(self) -> None:
        """Articles 13 and 14: the list and the first payment of a series are authenticated."""
        series = Linked(kind="recurring_payment", amount_minor=90_000, currency="EUR", payee="x")
        known = exemption_for(POLICY, series, History(series_is_known=True))
        trusted = exemption_for(POLICY, PAYMENT, History(payee_is_trusted=True))
        assert known is not None
        assert trusted is not None
        assert (known.kind, trusted.kind) == ("recurring", "trusted_beneficiary")
        assert exemption_for(POLICY, series, History()) is None
        assert exemption_for(POLICY, PAYMENT, History(series_is_known=True)) is None


@pytest.fixture(scope="module")
def bank(live: LiveServer) -> LiveServer:
    """Serve a bank that exempts what it may."""
    policy = {
        "low_value_max_minor": {"EUR": 3_000},
        "low_value_total_minor": {"EUR": 5_000},
        "low_value_count": 5,
        "trusted_beneficiaries": True,
    }
    live.add_tenant(manifest("sca_bank", sca=policy))
    return live


@pytest.fixture(scope="module")
def person(bank: LiveServer) -> Person:
    """Somebody who pays."""
    return a_psu(bank, "sca_bank")


@pytest.fixture(scope="module")
def browser(person: Person) -> Browser:
    """Their browser, signed in."""
    return person.sign_in()


@pytest.fixture(scope="module")
def payments(bank: LiveServer, person: Person) -> Payments:
    """The room that pays."""
    return Payments(bank, person)


def approve(browser: Browser, challenge: sca.Challenge, code: str) -> httpx.Response:
    """Open the page of approval, and send a code."""
    page = browser.get("/approve", params={"challenge": challenge.id})
    assert page.status_code == 200, page.text
    return browser.submit(page, "/approve", code=code)


class TestAnAgreement:
    def test_shows_amount_and_payee_and_holds_once(self, payments, person, browser) -> None:
        """The payer is made aware of both (article 5(1)(a)); what was agreed to can be done once."""
        challenge = payments.begin(return_to="/t/sca_bank/auth/account")
        page = browser.get("/approve", params={"challenge": challenge.id}, headers={"Accept-Language": "de"})
        assert "123.456,78\u00a0EUR" in page.text
        assert "Café Zwölf, AT61 …" in page.text
        assert "<dd>Eine Zahlung</dd>" in page.text
        assert not payments.use(challenge.id), "nobody has agreed yet"
        answer = approve(browser, challenge, person.code())
        assert (answer.status_code, answer.headers["location"]) == (303, "/t/sca_bank/auth/account")
        assert payments.use(challenge.id)
        assert not payments.use(challenge.id)

    @pytest.mark.parametrize("change", [{"amount_minor": 12_345_679}, {"payee": "Mallory"}], ids=["amount", "payee"])
    def test_is_void_once_something_has_changed(self, payments, person, browser, change) -> None:
        """A change of amount or payee invalidates the code (article 5(1)(d)), also for what was agreed to."""
        challenge = payments.begin()
        assert approve(browser, challenge, person.code()).status_code == 303
        changed = {**{name: getattr(PAYMENT, name) for name in PAYMENT.__struct_fields__}, **change}
        assert not payments.use(challenge.id, Linked(**changed))
        assert not payments.use(challenge.id)

    def test_is_void_after_five_failures(self, bank) -> None:
        """No more than five wrong codes are taken (article 4(3)(b))."""
        # Somebody of whom nobody else wants anything: they have to wait now.
        person = a_psu(bank, "sca_bank")
        payments, browser = Payments(bank, person), person.sign_in()
        challenge = payments.begin()
        answers = [approve(browser, challenge, "000000").status_code for _ in range(4)]
        assert answers == [422] * 4
        page = browser.get("/approve", params={"challenge": challenge.id})
        last = browser.submit(page, "/approve", code="000000")
        assert last.status_code == 404
        assert not payments.use(challenge.id)
        assert browser.get("/approve", params={"challenge": challenge.id}).status_code == 404

    def test_leads_back_to_who_asked_once_it_is_over(self, bank) -> None:
        """Whoever presses twice, has failed five times or comes too late goes on where they came from."""
        person, back = a_psu(bank, "sca_bank"), "/t/sca_bank/auth/account"
        payments, browser, code = Payments(bank, person), person.sign_in(), person.code()
        agreed, failed, late = (
            payments.begin(msgspec.structs.replace(PAYMENT, object_id=f"trf_{each}"), return_to=back)
            for each in ("agreed", "failed", "late")
        )
        page = browser.get("/approve", params={"challenge": agreed.id})
        pressed = [browser.submit(page, "/approve", code=code) for _ in range(2)]
        assert [each.headers.get("location") for each in pressed] == [back, back]
        answers = [approve(browser, failed, "000000") for _ in range(5)]
        assert [each.headers.get("location") for each in answers] == [None] * 4 + [back]
        sql = "UPDATE sca_challenges SET expires_at = created_at WHERE id = $1"
        payments.run(lambda _desk, tx: tx.execute(sql, ids.decode(Prefix.SCA_CHALLENGE, late.id)))
        assert browser.get("/approve", params={"challenge": late.id}).headers.get("location") == back

    def test_waits_for_who_has_to_sign_in_again(self, payments, person) -> None:
        """A session that has ended on the page leads through sign-in back to it, and not to the account."""
        challenge = payments.begin()
        other = person.browser()
        answer = other.get("/approve", params={"challenge": challenge.id})
        page = other.get(answer.headers["location"].removeprefix("/t/sca_bank/auth"))
        page = other.submit(page, "/sign-in", name=person.name, password=person.password)
        answer = other.submit(page, "/sign-in/code", code=person.code())
        assert answer.headers["location"] == f"/t/sca_bank/auth/approve?challenge={challenge.id}"

    def test_says_what_is_agreed_to(self, payments, browser) -> None:
        """Trusting a payee for good isn't a payment, and what pages have no words for is named as it is."""
        shown = []
        for kind in ("trusted_beneficiary", "key_ceremony"):
            challenge = payments.begin(Linked(kind=kind, payee="Kiosk", payee_account="AT611904300234573201"))
            shown.append(browser.get("/approve", params={"challenge": challenge.id}).text)
        assert "Trust this payee from now on" in shown[0]
        assert "key_ceremony" in shown[1]

    def test_is_void_once_another_is_asked_in_its_place(self, bank) -> None:
        """Of one object there is one agreement: the last one, whatever was agreed to before."""
        person = a_psu(bank, "sca_bank")
        payments, browser = Payments(bank, person), person.sign_in()
        first = payments.begin()
        assert approve(browser, first, person.code()).status_code == 303
        other = msgspec.structs.replace(PAYMENT, object_id="trf_other")
        apart = payments.begin(other)
        second = payments.begin()
        assert not payments.use(first.id)
        assert browser.get("/approve", params={"challenge": apart.id}).status_code == 200
        third = payments.begin(other, replaces=ids.decode(Prefix.SCA_CHALLENGE, second.id))
        assert browser.get("/approve", params={"challenge": second.id}).status_code == 404
        assert browser.get("/approve", params={"challenge": third.id}).status_code == 200

    def test_is_nobody_elses(self, bank, payments) -> None:
        """Another customer of the bank neither sees it nor agrees to it."""
        challenge = payments.begin()
        stranger = a_psu(bank, "sca_bank").sign_in()
        assert stranger.get("/approve", params={"challenge": challenge.id}).status_code == 404


class TestAnExemptPayment:
    def test_goes_to_an_account_that_is_trusted_and_not_to_a_name(self, bank) -> None:
        """Whoever calls themselves as a trusted payee does is another one (article 13)."""
        person = a_psu(bank, "sca_bank")
        payer, browser = Payments(bank, person), person.sign_in()
        kiosk: dict[str, Any] = {"payee": "Kiosk", "payee_account": "AT611904300234573201"}
        listed = payer.begin(Linked(kind="trusted_beneficiary", **kiosk))
        assert approve(browser, listed, person.code()).status_code == 303
        large: dict[str, Any] = {"kind": "payment", "amount_minor": 90_000, "currency": "EUR"}
        assert payer.begin(Linked(**large, **kiosk)).exemption == "trusted_beneficiary"
        assert payer.begin(Linked(**large, **kiosk | {"payee": "The kiosk"})).exemption == "trusted_beneficiary"
        assert payer.begin(Linked(**large, **kiosk | {"payee_account": "DE89370400440532013000"})).exemption is None
        assert payer.begin(Linked(**large, payee="Kiosk")).exemption is None

    def test_needs_no_code_and_leaves_a_reason(self, bank) -> None:
        """It can be used at once; the reason is in the audit, and the third one is too much."""
        payer = Payments(bank, a_psu(bank, "sca_bank"))
        small = Linked(kind="payment", amount_minor=2_000, currency="EUR", payee="Kiosk")
        first, second, third = (payer.begin(small) for _ in range(3))
        assert [each.exemption for each in (first, second, third)] == ["low_value", "low_value", None]
        assert payer.use(first.id, small)
        assert not payer.use(third.id, small)
        with bank.client("sca_bank", ["audit:read"]) as client:
            query = {"object_id": payer.person.user_id, "action": "user.sca_exempted"}
            records = client.get("/v1/audit-records", params=query).json()["data"]
        assert [record["facts"]["exemption"] for record in records] == ["low_value"] * 2
        assert all("article 16" in record["reason"] for record in records)
        assert "Kiosk" not in str(records)
