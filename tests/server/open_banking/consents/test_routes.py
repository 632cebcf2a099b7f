"""Consents to read accounts and to confirm funds, and confirmations of funds, over HTTP (7 operations)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from billfold import ids
from billfold.ids import Prefix
from tests.live import LiveServer
from tests.server.open_banking.consents.third_party import ThirdParty
from tests.server.open_banking.ordering import agree_overdraft

ACCOUNTS = "/aisp/account-access-consents"
FUNDS = "/cbpii/funds-confirmation-consents"
CONFIRMATIONS = "/cbpii/funds-confirmations"


@pytest.fixture(scope="module")
def tpp(live: LiveServer) -> ThirdParty:
    """A third party with a customer."""
    return ThirdParty.at(live)


@pytest.fixture(scope="module")
def own(tpp: ThirdParty) -> str:
    """The third party's own token."""
    return tpp.token()


def asked(*permissions: str, **more: Any) -> dict[str, Any]:
    """Return what is asked of a customer's accounts."""
    return {"Data": {"Permissions": list(permissions), **more}, "Risk": {}}


def for_funds(tpp: ThirdParty, **more: Any) -> dict[str, Any]:
    """Return what is asked of a customer's funds."""
    account = {"SchemeName": "UK.OBIE.Wallet", "Identification": tpp.wallet, "Name": "Ada"}
    return {"Data": {"DebtorAccount": account, **more}}


def in_days(days: int) -> str:
    """Return an instant so many days away."""
    return (datetime.now(UTC) + timedelta(days=days)).isoformat(timespec="seconds")


def code_of(answer: httpx.Response) -> tuple[int, str, str | None]:
    """Return a refusal's status, code and path."""
    (error,) = answer.json()["Errors"]
    return answer.status_code, error["ErrorCode"], error.get("Path")


class TestAConsentToReadAccounts:
    def test_is_asked_for_shown_and_ended(self, tpp: ThirdParty, own: str) -> None:
        """It says what was asked for at every step, and where it stands; a second end is refused and written down."""
        end, begin = in_days(90), "2026-01-01T00:00:00+01:00"
        body = asked("ReadBalances", "ReadAccountsDetail", ExpirationDateTime=end, TransactionFromDateTime=begin)
        made = tpp.ask("POST", ACCOUNTS, body, token=own)
        assert made.status_code == 201, made.text
        data = made.json()["Data"]
        assert (data["Status"], data["Permissions"]) == ("AWAU", ["ReadAccountsDetail", "ReadBalances"])
        assert datetime.fromisoformat(data["ExpirationDateTime"]) == datetime.fromisoformat(end)
        assert data["TransactionFromDateTime"] == "2025-12-31T23:00:00Z"
        assert made.json()["Risk"] == {}
        path = f"{ACCOUNTS}/{data['ConsentId']}"
        assert made.json()["Links"]["Self"].endswith(path)
        tpp.authorise(data["ConsentId"])
        shown = tpp.ask("GET", path, token=own).json()["Data"]
        assert (shown["Status"], "StatusReason" in shown) == ("AUTH", False)
        assert tpp.ask("DELETE", path, token=own).status_code == 204
        assert tpp.ask("GET", path, token=own).json()["Data"]["Status"] == "CANC"
        assert code_of(tpp.ask("DELETE", path, token=own))[:2] == (400, "U009")
        with tpp.live.client("alpha", ["consents:read"]) as staff:
            steps = staff.get(f"/v1/consents/{data['ConsentId']}").json()["history"]
        assert [(each["event"], each["to_status"], each["done_by"]) for each in steps[-2:]] == [
            ("revoke", "CANC", "tpp"),
            ("revoke", None, "tpp"),
        ]

    @pytest.mark.parametrize(
        ("permissions", "taken"),
        [
            ({"ReadAccountsDetail", "ReadTransactionsBasic"}, False),
            ({"ReadAccountsBasic", "ReadTransactionsDetail"}, False),
            ({"ReadAccountsBasic", "ReadTransactionsCredits"}, False),
            ({"ReadAccountsBasic", "ReadTransactionsDebits", "ReadBalances"}, False),
            ({"ReadTransactionsBasic", "ReadTransactionsDebits"}, False),
            ({"ReadBalances"}, False),
            ({"ReadAccountsBasic", "ReadTransactionsBasic", "ReadTransactionsDebits"}, True),
            ({"ReadAccountsDetail", "ReadTransactionsDetail", "ReadTransactionsCredits"}, True),
            ({"ReadAccountsBasic"}, True),
        ],
    )
    def test_asks_for_accounts_and_for_transactions_as_a_whole(
        self, tpp: ThirdParty, own: str, permissions: set[str], *, taken: bool
    ) -> None:
        """Without the accounts there is nothing to read of; how much of transactions and which of them go together."""
        answer = tpp.ask("POST", ACCOUNTS, asked(*sorted(permissions)), token=own)
        assert answer.status_code == (201 if taken else 400), answer.text
        assert taken or code_of(answer) == (400, "U002", "Data.Permissions")

    def test_lies_ahead(self, tpp: ThirdParty, own: str) -> None:
        """An end that has passed, a period that ends before it begins and a time beyond the calendar are refused."""
        for more, path in (
            ({"ExpirationDateTime": in_days(-1)}, "Data.ExpirationDateTime"),
            ({"ExpirationDateTime": "9999-12-31T23:59:59-14:00"}, "Data.ExpirationDateTime"),
            ({"ExpirationDateTime": "9999-12-31T23:59:59.999999Z"}, "Data.ExpirationDateTime"),
            ({"TransactionFromDateTime": "0001-01-01T00:00:00Z"}, "Data.TransactionFromDateTime"),
            ({"TransactionToDateTime": "9999-12-31T23:59:59.999999+00:00"}, "Data.TransactionToDateTime"),
            (
                {"TransactionFromDateTime": in_days(-1), "TransactionToDateTime": in_days(-2)},
                "Data.TransactionToDateTime",
            ),
        ):
            answer = tpp.ask("POST", ACCOUNTS, asked("ReadAccountsBasic", **more), token=own)
            assert code_of(answer) == (400, "U003", path)

    def test_says_of_which_time_zone_its_dates_are(self, tpp: ThirdParty, own: str) -> None:
        """They are RFC 3339's, as the documents have it (``date-time``); without a zone nobody knows when it ends."""
        for text in ("2099-01-01T00:00:00", "2099-01-01", "tomorrow"):
            more = {"ExpirationDateTime": text}
            answer = tpp.ask("POST", ACCOUNTS, asked("ReadAccountsBasic", **more), token=own)
            assert code_of(answer) == (400, "U003", "Data.ExpirationDateTime")
            assert answer.json()["Errors"][0]["Message"].startswith("must be a date and time with its time zone")

    def test_is_its_third_partys_alone(self, tpp: ThirdParty, own: str, live: LiveServer) -> None:
        """Another third party may neither read nor end it, what names nothing is told apart, and so are kinds."""
        made = tpp.ask("POST", ACCOUNTS, asked("ReadAccountsBasic"), token=own).json()["Data"]["ConsentId"]
        other = ThirdParty.at(live)
        foreign = other.token()
        for method in ("GET", "DELETE"):
            assert code_of(other.ask(method, f"{ACCOUNTS}/{made}", token=foreign))[:2] == (403, "U008")
            for nothing in (ids.new(Prefix.CONSENT), "nothing"):
                assert code_of(tpp.ask(method, f"{ACCOUNTS}/{nothing}", token=own))[:2] == (400, "U011")
            assert code_of(tpp.ask(method, f"{FUNDS}/{made}", token=own))[:2] == (400, "U011")
        assert tpp.ask("GET", f"{ACCOUNTS}/{made}", token=own).json()["Data"]["Status"] == "AWAU"

    def test_opens_nothing_to_who_is_blocked(self, live: LiveServer) -> None:
        """From the next request on a blocked third party neither asks nor reads."""
        tpp = ThirdParty.at(live)
        own = tpp.token()
        made = tpp.ask("POST", ACCOUNTS, asked("ReadAccountsBasic"), token=own).json()["Data"]["ConsentId"]
        with live.client("alpha", ["consents:write"]) as staff:
            body = {"client_id": tpp.client.client_id, "reason": "No licence."}
            assert staff.post("/v1/blocked-third-parties", json=body).status_code == 201
        assert tpp.ask("GET", f"{ACCOUNTS}/{made}", token=own).status_code == 403
        assert tpp.ask("POST", ACCOUNTS, asked("ReadAccountsBasic"), token=own).status_code == 403


class TestFunds:
    def test_are_confirmed_by_yes_or_no(self, tpp: ThirdParty, own: str) -> None:
        """There is enough up to what is available, and nothing is told of how much; then the consent ends."""
        made = tpp.ask("POST", FUNDS, for_funds(tpp, ExpirationDateTime=in_days(9)), token=own)
        assert made.status_code == 201, made.text
        consent_id = made.json()["Data"]["ConsentId"]
        token = tpp.authorise(consent_id)
        for amount, enough in (("100.00", True), ("100.01", False)):
            answer = tpp.ask("POST", CONFIRMATIONS, self.said(consent_id, amount), token=token)
            assert answer.status_code == 201, answer.text
            data = answer.json()["Data"]
            assert (data["FundsAvailable"], data["Reference"]) == (enough, "R1")
            assert set(data) == {
                "FundsConfirmationId",
                "ConsentId",
                "CreationDateTime",
                "FundsAvailable",
                "Reference",
                "InstructedAmount",
            }
        path = f"{FUNDS}/{consent_id}"
        shown = tpp.ask("GET", path, token=own).json()["Data"]
        assert (shown["Status"], shown["DebtorAccount"]["Identification"]) == ("AUTH", tpp.wallet)
        assert tpp.ask("DELETE", path, token=own).status_code == 204
        # The grant ended with the consent.
        ended = tpp.ask("POST", CONFIRMATIONS, self.said(consent_id, "1.00"), token=token)
        assert (ended.status_code, ended.content) == (401, b"")

    def test_are_there_as_far_as_an_overdraft_was_agreed(self, live: LiveServer) -> None:
        """A card's issuer is told of the money that a payment would find: of what the bank lends, too."""
        tpp = ThirdParty.at(live)
        agree_overdraft(live, tpp.wallet, 2_000)
        consent_id = tpp.ask("POST", FUNDS, for_funds(tpp), token=tpp.token()).json()["Data"]["ConsentId"]
        token = tpp.authorise(consent_id)
        found = {
            amount: tpp.ask("POST", CONFIRMATIONS, self.said(consent_id, amount), token=token).json()["Data"][
                "FundsAvailable"
            ]
            for amount in ("120.00", "120.01")
        }
        assert found == {"120.00": True, "120.01": False}

    def test_are_asked_for_by_the_consents_token(self, tpp: ThirdParty, own: str) -> None:
        """A client's own token, another consent's, and an amount that can't be are refused."""
        consent_id, other_id = (
            tpp.ask("POST", FUNDS, for_funds(tpp), token=own).json()["Data"]["ConsentId"] for _ in range(2)
        )
        token = tpp.authorise(consent_id)
        assert tpp.ask("POST", CONFIRMATIONS, self.said(consent_id, "1.00"), token=own).status_code == 403
        assert code_of(tpp.ask("POST", CONFIRMATIONS, self.said(other_id, "1.00"), token=token))[0] == 403
        refused = tpp.ask("POST", CONFIRMATIONS, self.said(consent_id, "0.00"), token=token)
        assert code_of(refused) == (400, "U002", "Data.InstructedAmount.Amount")
        refused = tpp.ask("POST", CONFIRMATIONS, self.said(consent_id, "1.00", "SEK"), token=token)
        assert code_of(refused) == (400, "U023", "Data.InstructedAmount.Currency")
        strange = {"Data": {"DebtorAccount": {"SchemeName": "UK.OBIE.PAN", "Identification": "4"}}}
        assert code_of(tpp.ask("POST", FUNDS, strange, token=own)) == (400, "U027", "Data.DebtorAccount.SchemeName")

    def said(self, consent_id: str, amount: str, currency: str = "EUR") -> dict[str, Any]:
        """Return what is asked."""
        instructed = {"Amount": amount, "Currency": currency}
        return {"Data": {"ConsentId": consent_id, "Reference": "R1", "InstructedAmount": instructed}}
