"""Domestic payments over the interface, as a third party makes them."""

import asyncio
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from billfold import ids
from billfold.ids import Prefix
from tests.canaries.scanner import Canaries
from tests.live import LiveServer
from tests.server.open_banking.ordering import agree_overdraft
from tests.server.open_banking.payments.pisp import OPENED_MINOR, Pisp
from tests.server.privacy.scanning import dump


@pytest.fixture(scope="module")
def pisp(live: LiveServer) -> Pisp:
    """A third party with a customer."""
    return Pisp.at([live])


def data(answer: Any, status: int = 201) -> dict[str, Any]:
    """Return an answer's data."""
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()["Data"]
    return found


def codes(answer: Any, status: int = 400) -> list[str]:
    """Return the codes of a refusal."""
    assert answer.status_code == status, answer.text
    return [each["ErrorCode"] for each in answer.json()["Errors"]]


class TestAConsentToAPayment:
    def test_is_asked_for_authorised_and_spent(self, pisp: Pisp) -> None:
        """It says what was asked for, where it stands, and what has become of it; by older names for who asks."""
        asked = pisp.ask("POST", "/domestic-payment-consents", pisp.consent())
        made = data(asked)
        assert (made["Status"], made["Initiation"]) == ("AWAU", pisp.initiation())
        assert asked.json()["Links"]["Self"].endswith(f"/domestic-payment-consents/{made['ConsentId']}")
        assert asked.headers["x-jws-signature"]
        consent_id = pisp.authorise(made["ConsentId"])
        path = f"/domestic-payment-consents/{made['ConsentId']}"
        assert data(pisp.ask("GET", path), 200)["Status"] == "AUTH"
        for old in ("3.1.11", "v3.1"):
            assert data(pisp.ask("GET", path, headers={"payload-version": old}), 200)["Status"] == "Authorised"
        for new in ("4.0", "v4.0"):
            assert data(pisp.ask("GET", path, headers={"payload-version": new}), 200)["Status"] == "AUTH"
        assert data(pisp.ask("GET", f"{path}/funds-confirmation", consent_id=consent_id), 200)["FundsAvailableResult"][
            "FundsAvailable"
        ]
        paid = data(pisp.pay(consent_id))
        assert (paid["Status"], paid["ConsentId"]) == ("ACCC", made["ConsentId"])
        assert data(pisp.ask("GET", path), 200)["Status"] == "COND"

    @pytest.mark.parametrize(
        ("change", "code", "path"),
        [
            ({"InstructedAmount": {"Amount": "0.00", "Currency": "EUR"}}, "U002", "InstructedAmount.Amount"),
            ({"InstructedAmount": {"Amount": "1.001", "Currency": "EUR"}}, "U002", "InstructedAmount.Amount"),
            ({"InstructedAmount": {"Amount": "1", "Currency": "CHF"}}, "U023", "InstructedAmount.Currency"),
            (
                {"CreditorAccount": {"SchemeName": "UK.OBIE.PAN", "Identification": "4111", "Name": "x"}},
                "U027",
                "CreditorAccount.SchemeName",
            ),
            (
                {"CreditorAccount": {"SchemeName": "UK.OBIE.IBAN", "Identification": "GB00", "Name": "x"}},
                "U021",
                "CreditorAccount.Identification",
            ),
            ({"SupplementaryData": {"x": 1}}, "U005", "SupplementaryData"),
            (
                {"CreditorAccount": {"SchemeName": "UK.OBIE.PAN", "Identification": "1", "Name": "St \u202eJ <b>"}},
                "U002",
                "CreditorAccount.Name",
            ),
            ({"LocalInstrument": "NOPE"}, "U026", "LocalInstrument"),
            *(
                (
                    {"DebtorAccount": {"SchemeName": f"UK.OBIE.{scheme}", "Identification": number}},
                    "U021",
                    "DebtorAccount.Identification",
                )
                for scheme, number in (
                    ("Wallet", "x"),
                    ("IBAN", "BE69539007547034"),
                    ("SortCodeAccountNumber", "20-00-00 5577991"),
                )
            ),
        ],
    )
    def test_is_refused_where_nothing_could_be_paid(
        self, pisp: Pisp, change: dict[str, Any], code: str, path: str
    ) -> None:
        """The refusal says which member is to blame."""
        answer = pisp.ask("POST", "/domestic-payment-consents", pisp.consent(**change))
        assert codes(answer) == [code]
        assert answer.json()["Errors"][0]["Path"] == f"Data.Initiation.{path}"

    def test_tells_nobody_whether_an_account_is_kept_here(self, pisp: Pisp) -> None:
        """A payer's account that is no wallet's is asked about like any other, until a customer has signed in."""
        for scheme, number in (
            ("Wallet", pisp.wallets[0]),
            ("Wallet", ids.new(Prefix.WALLET)),
            ("IBAN", "DE89370400440532013000"),
            ("SortCodeAccountNumber", "20-00-00 55779911"),
        ):
            debtor = {"SchemeName": f"UK.OBIE.{scheme}", "Identification": number}
            made = data(pisp.ask("POST", "/domestic-payment-consents", pisp.consent(DebtorAccount=debtor)))
            assert (made["Status"], made["Initiation"]["DebtorAccount"]) == ("AWAU", debtor)

    def test_is_to_be_authorised_by_a_time_that_has_not_passed(self, pisp: Pisp) -> None:
        """The time by which the customer must have agreed lies ahead; it comes back as it was asked for."""
        said = pisp.consent()
        for year, status in ((2020, 400), (2090, 201)):
            said["Data"]["Authorisation"] = {
                "AuthorisationType": "Any",
                "CompletionDateTime": f"{year}-01-01T00:00:00+00:00",
            }
            answer = pisp.ask("POST", "/domestic-payment-consents", said)
            if status == 400:
                assert codes(answer) == ["U003"]
                assert answer.json()["Errors"][0]["Path"] == "Data.Authorisation.CompletionDateTime"
            else:
                assert data(answer)["Authorisation"]["CompletionDateTime"].startswith("2090-01-01T00:00:00")

    def test_tells_nobody_that_there_is_too_little_money_but_who_asks(self, pisp: Pisp) -> None:
        """Funds are confirmed or not, and how much there is nobody is told."""
        consent_id = pisp.consented("100000.00")
        path = f"/domestic-payment-consents/{ids.encode(Prefix.CONSENT, consent_id)}/funds-confirmation"
        answer = pisp.ask("GET", path, consent_id=consent_id)
        assert data(answer, 200)["FundsAvailableResult"]["FundsAvailable"] is False
        assert str(OPENED_MINOR) not in answer.text

    def test_finds_the_money_that_the_payment_would_find(self, live: LiveServer) -> None:
        """What the bank lends is confirmed, and pays; a penny more is neither confirmed nor paid."""
        pisp = Pisp.at([live])
        agree_overdraft(live, pisp.wallets[0], 5_000)
        for amount, status in (("10050.01", 400), ("10050.00", 201)):
            consent_id = pisp.consented(amount)
            path = f"/domestic-payment-consents/{ids.encode(Prefix.CONSENT, consent_id)}/funds-confirmation"
            found = data(pisp.ask("GET", path, consent_id=consent_id), 200)["FundsAvailableResult"]["FundsAvailable"]
            assert (found, pisp.pay(consent_id, amount).status_code) == (status == 201, status)


class TestAPayment:
    def test_is_answered_again_under_its_key_and_made_once(self, pisp: Pisp, live: LiveServer) -> None:
        """A copy is told of the same payment, although the consent is used up by now, and the customer of one."""
        consent_id = pisp.consented()
        first, again = (data(pisp.pay(consent_id, key="once")) for _ in range(2))
        assert first == again
        assert codes(pisp.pay(consent_id)) == ["U009"]
        other = pisp.ask(
            "POST", "/domestic-payments", pisp.payment(consent_id, "11.00"), consent_id=consent_id, key="once"
        )
        assert codes(other) == ["U006"]
        with live.client("alpha") as bank:
            used = bank.get(f"/v1/consents/{ids.encode(Prefix.CONSENT, consent_id)}/uses").json()["data"]
        assert [(each["operation"], each["times"]) for each in used] == [("domestic_payment", 1)]

    def test_may_be_of_a_cards_bill(self, pisp: Pisp, live: LiveServer) -> None:
        """Its reference is the card's number then, which is told to whom it concerns and lies sealed everywhere."""
        canaries = Canaries()
        number = canaries.make()
        texts: dict[str, Any] = {
            "RemittanceInformation": {"Unstructured": [number]},
            "EndToEndIdentification": number,
        }
        consent_id = pisp.consented(**texts)
        made = data(pisp.pay(consent_id, **texts))
        assert made["Initiation"]["RemittanceInformation"] == texts["RemittanceInformation"]
        refused = pisp.pay(pisp.consented(), key=number)
        assert codes(refused) == ["U006"]
        assert "belongs into the vault" in refused.text, "keys are kept as they are"
        assert live.settings.admin_database_url is not None
        dumped = asyncio.run(dump(live.settings.admin_database_url.reveal()))
        assert f"{'*' * (len(number) - 4)}{number[-4:]}".encode() in dumped, "the books hold what may be shown"
        assert canaries.found_in(dumped) == set()

    def test_is_shown_with_every_status_that_it_has_had(self, pisp: Pisp, live: LiveServer) -> None:
        """Its third party sees how it came where it is, and whither it is given back, by IBAN where there is one."""
        made = data(pisp.pay(pisp.consented(ReadRefundAccount="Yes")))
        path = f"/domestic-payments/{made['DomesticPaymentId']}"
        assert data(pisp.ask("GET", path), 200) == made
        assert made["Refund"]["Account"]["Identification"] == pisp.wallets[0]
        with live.client("alpha") as bank:
            alias = {"scheme": "iban", "value": "NO93 8601 1117 947"}
            assert bank.post(f"/v1/wallets/{pisp.wallets[0]}/aliases", json=alias).status_code == 201
        account = data(pisp.ask("GET", path), 200)["Refund"]["Account"]
        assert (account["SchemeName"], account["Identification"]) == ("UK.OBIE.IBAN", "NO9386011117947")
        details = data(pisp.ask("GET", f"{path}/payment-details"), 200)["PaymentStatus"]
        assert [each["Status"] for each in details] == ["ACTC", "ACCP", "ACSC", "ACCC"]

    def test_is_never_to_the_wallet_that_pays(self, pisp: Pisp) -> None:
        """The refusal names the payee as this interface does, also the second time."""
        payee = {**pisp.payee, "Identification": pisp.wallets[0]}
        consent_id = pisp.consented(CreditorAccount=payee)
        for _ in range(2):
            answer = pisp.pay(consent_id, key="round", CreditorAccount=payee)
            assert codes(answer) == ["U021"]
            assert answer.json()["Errors"][0]["Path"] == "Data.Initiation.CreditorAccount"

    def test_is_refused_by_the_code_of_what_is_wrong_again_and_again(self, pisp: Pisp) -> None:
        """A refusal that is kept under its key looks the same the second time."""
        consent_id = pisp.consented("100000.00")
        first, again = (pisp.pay(consent_id, "100000.00", key="poor") for _ in range(2))
        assert codes(first) == codes(again) == ["AM04"]
        assert codes(pisp.pay(pisp.consented(), "9.99")) == ["U008"]

    @pytest.mark.parametrize(
        ("scheme", "number"),
        [("SortCodeAccountNumber", "04000499999999"), ("IBAN", "DE41500105170123456789"), ("Wallet", None)],
    )
    def test_to_an_account_that_only_a_wallet_could_have_never_leaves(
        self, pisp: Pisp, scheme: str, number: str | None
    ) -> None:
        """Nobody outside has the number; a copy is told the same, and the consent isn't used up by it."""
        account = {"SchemeName": f"UK.OBIE.{scheme}", "Identification": number or ids.new(Prefix.WALLET), "Name": "G"}
        consent_id = pisp.consented(CreditorAccount=account)
        for _ in range(2):
            refused = pisp.pay(consent_id, key=f"to {account['Identification']}"[:40], CreditorAccount=account)
            assert codes(refused) == ["U021"]
            assert refused.json()["Errors"][0]["Path"] == "Data.Initiation.CreditorAccount"
        path = f"/domestic-payment-consents/{ids.encode(Prefix.CONSENT, consent_id)}"
        assert data(pisp.ask("GET", path), 200)["Status"] == "AUTH"

    def test_to_a_wallets_own_number_stays_inside(self, pisp: Pisp, live: LiveServer) -> None:
        """What the bank itself gives out finds its wallet; a frozen one is told of as before."""
        with live.client("alpha") as bank:
            party = bank.get(f"/v1/wallets/{pisp.wallets[0]}").json()["party_id"]
            wallet = bank.post("/v1/wallets", json={"party_id": party, "currencies": ["EUR"]}).json()["id"]
            alias = {"scheme": "sort_code_account_number", "value": "04-00-04 00000042"}
            assert bank.post(f"/v1/wallets/{wallet}/aliases", json=alias).status_code == 201
        account = {"SchemeName": "UK.OBIE.SortCodeAccountNumber", "Identification": "04000400000042", "Name": "Grace"}
        more: dict[str, Any] = {"CreditorAccount": account}
        assert data(pisp.pay(pisp.consented(**more), **more))["Status"] == "ACCC"
        with live.client("alpha") as bank:
            assert bank.post(f"/v1/wallets/{wallet}/freeze", json={"reason": "test"}).status_code == 200
        assert codes(pisp.pay(pisp.consented(**more), **more)) == ["AC06"]

    def test_is_nobody_else_s(self, pisp: Pisp, live: LiveServer) -> None:
        """Another third party neither sees it nor spends its consent; who is kept out sees not even its own."""
        other, consent_id = Pisp.at([live]), pisp.consented()
        theirs = other.consented()
        assert codes(other.ask("POST", "/domestic-payments", other.payment(consent_id), consent_id=theirs), 403)
        made = data(pisp.pay(consent_id))
        assert codes(other.ask("GET", f"/domestic-payments/{made['DomesticPaymentId']}"), 403) == ["U008"]
        path = f"/domestic-payments/{data(other.pay(theirs, key='kept out'))['DomesticPaymentId']}"
        unpaid = other.consented()
        other.block()
        assert codes(other.pay(unpaid), 403)
        assert codes(other.pay(theirs, key="kept out"), 403)
        assert codes(other.pay(theirs, "11.00", key="kept out"), 403)
        for kept in (path, f"{path}/payment-details"):
            assert codes(other.ask("GET", kept), 403)
        creditor = {"scheme": "wallet", "identification": pisp.wallets[1]}
        order = {"wallet_id": pisp.wallets[0], "amount": {"amount_minor": 1, "currency": "EUR"}, "creditor": creditor}
        with live.client("alpha") as bank:
            # Nor is one that the bank's own client has ordered.
            own = bank.post("/v1/payments", json=order, headers={"Idempotency-Key": "own"}).json()["id"]
        for unknown in (ids.new(Prefix.PAYMENT), "x", own):
            assert codes(pisp.ask("GET", f"/domestic-payments/{unknown}")) == ["U011"]
            assert codes(pisp.ask("GET", f"/domestic-payment-consents/{unknown}")) == ["U011"]

    def test_is_refused_once_the_consent_is_revoked(self, pisp: Pisp) -> None:
        """Revoked, it pays nothing from the next request on."""
        consent_id = pisp.consented()
        token = pisp.token(consent_id)
        assert token
        pisp.revoke(consent_id)
        assert pisp.pay(consent_id).status_code == 401

    def test_says_nothing_of_what_the_bank_has_written(self, pisp: Pisp) -> None:
        """Why a consent was ended is told in the standard's words; those of the bank's staff stay with the bank."""
        consent_id = pisp.consented()
        pisp.revoke(consent_id, by="staff", reason="suspected fraud, case 4711")
        path = f"/domestic-payment-consents/{ids.encode(Prefix.CONSENT, consent_id)}"
        (told,) = data(pisp.ask("GET", path), 200)["StatusReason"]
        assert (told["StatusReasonCode"], "4711" in told["StatusReasonDescription"]) == ("U033", False)

    @pytest.mark.parametrize("end", [Pisp.end_grants, Pisp.revoke_token])
    def test_is_refused_once_its_grant_or_its_token_has_ended(
        self, pisp: Pisp, end: Callable[[Pisp, UUID], None]
    ) -> None:
        """A token that was let in a moment ago pays nothing more, and is told of nothing that it has paid."""
        unpaid, paid = pisp.consented(), pisp.consented()
        path = f"/domestic-payment-consents/{ids.encode(Prefix.CONSENT, unpaid)}/funds-confirmation"
        data(pisp.ask("GET", path, consent_id=unpaid), 200)
        key = f"ended by {end.__name__}"
        data(pisp.pay(paid, key=key))
        for consent_id in (unpaid, paid):
            end(pisp, consent_id)
        assert pisp.ask("GET", path, consent_id=unpaid).status_code == 401
        assert pisp.pay(unpaid).status_code == 401
        assert pisp.pay(paid, key=key).status_code == 401
        assert pisp.pay(paid, "11.00", key=key).status_code == 401


OUTSIDE = {"SchemeName": "UK.OBIE.SortCodeAccountNumber", "Identification": "20-00-00 55779911", "Name": "Grace Hopper"}


class TestAPaymentThatLeaves:
    @pytest.mark.parametrize(
        ("reference", "status", "reason"), [("Invoice 4711", "ACSC", None), ("RAIL-REJECT", "RJCT", "AC04")]
    )
    def test_is_given_to_the_simulated_rail(
        self, pisp: Pisp, live: LiveServer, reference: str, status: str, reason: str | None
    ) -> None:
        """The worker's job gives it to the simulator's process, and what that says is told to who has ordered it."""
        more: dict[str, Any] = {"CreditorAccount": OUTSIDE, "RemittanceInformation": {"Unstructured": [reference]}}
        made = data(pisp.pay(pisp.consented(**more), **more))
        path = f"/domestic-payments/{made['DomesticPaymentId']}"
        while (found := data(pisp.ask("GET", path), 200))["Status"] in {"ACCP", "ACSP"}:
            time.sleep(0.05)
        assert found["Status"] == status
        assert [each["StatusReasonCode"] for each in found.get("StatusReason", [])] == ([reason] if reason else [])
        with live.client("alpha") as bank:
            shown = bank.get(f"/v1/payments/{made['DomesticPaymentId']}").json()
            listed = bank.get("/v1/payments", params={"wallet_id": pisp.wallets[0], "status": status}).json()["data"]
        assert (shown["rail"], shown["creditor_name"], shown["reference"]) == ("simulator", "Grace Hopper", reference)
        assert shown in listed
