"""What third parties send, made of little."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from billfold import Money, errors
from billfold.client._flow import Timeouts
from billfold.consents import (
    Customer,
    Limit,
    account,
    amount,
    control_parameters,
    domestic_payment,
    instruction,
    recurring_payments,
    risk,
)
from billfold.consents.asking import Manner, Order, call_of, new_key, next_query, path_of, query_of
from billfold.contract.open_banking.accounts import OBReadAccount6
from billfold.contract.open_banking.common import OBRisk1
from billfold.contract.open_banking.payments import OBWriteDomestic2Initiation
from billfold.contract.open_banking.vrp import (
    OBDomesticVRPControlParameters,
    OBDomesticVRPInitiation,
    OBDomesticVRPInstruction,
)
from billfold.money import AmountError

ADA = account("UK.OBIE.IBAN", "GB33BUKB20201555555555", "Ada Lovelace")
MANNER = Manner(signer=None, issuer="me", trust_anchor="openbanking.org.uk", verifies=True, customer=None)


def valid(made: msgspec.Struct, cls: type[Any]) -> dict[str, Any]:
    """Return what goes over the wire, once the contract has taken it."""
    wire = msgspec.json.encode(made)
    msgspec.json.decode(wire, type=cls)
    decoded: dict[str, Any] = msgspec.json.decode(wire)
    return decoded


class TestAnAmount:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (Money(1250, "GBP"), "12.50"),
            (("12.5", "GBP"), "12.50"),
            ((Decimal(12), "GBP"), "12.00"),
            (Money(1250, "JPY"), "1250"),
            (Money(1250, "BHD"), "1.250"),
        ],
        ids=str,
    )
    def test_is_decimal_text_with_the_currencys_places(self, value: Any, text: str):
        """Nothing is rounded, and no place is missing."""
        assert amount(value).amount == text

    def test_is_never_a_float(self):
        """Nor more exact than its currency."""
        with pytest.raises(TypeError):
            amount((12.5, "GBP"))  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            amount("12.50 GBP")  # type: ignore[arg-type]
        with pytest.raises(AmountError):
            amount(("12.505", "GBP"))


class TestAPayment:
    def test_is_of_the_contract(self):
        """Names are made where none are given, and the payee is told one of them."""
        wire = valid(domestic_payment(("12.50", "GBP"), ADA, reference="Rent"), OBWriteDomestic2Initiation)
        assert wire["InstructedAmount"] == {"Amount": "12.50", "Currency": "GBP"}
        assert wire["CreditorAccount"]["Name"] == "Ada Lovelace"
        assert wire["InstructionIdentification"] == wire["EndToEndIdentification"]
        assert wire["RemittanceInformation"] == {"Unstructured": ["Rent"]}
        assert set(wire) == {
            "InstructionIdentification",
            "EndToEndIdentification",
            "InstructedAmount",
            "CreditorAccount",
            "RemittanceInformation",
        }
        assert valid(risk(merchant_category_code="5812"), OBRisk1)["PaymentContextCode"] == "TransferToThirdParty"

    def test_within_limits_is_of_the_contract(self):
        """Limits, what payments have in common, and one payment."""
        limits = [Limit("Month", ("100", "GBP")), Limit("Day", Money(5000, "GBP"), "Calendar")]
        made = control_parameters(("50", "GBP"), limits, valid_to=datetime(2027, 1, 1, tzinfo=UTC))
        wire = valid(made, OBDomesticVRPControlParameters)
        assert wire["PeriodicLimits"][1] == {
            "PeriodType": "Day",
            "PeriodAlignment": "Calendar",
            "Amount": "50.00",
            "Currency": "GBP",
        }
        assert (wire["VRPType"], wire["PSUAuthenticationMethods"]) == (
            ["UK.OBIE.VRPType.Sweeping"],
            ["UK.OBIE.SCANotRequired"],
        )
        assert valid(recurring_payments(to=ADA), OBDomesticVRPInitiation)["CreditorAccount"]["Name"] == "Ada Lovelace"
        assert valid(instruction(("1", "GBP"), ADA), OBDomesticVRPInstruction)["InstructedAmount"]["Amount"] == "1.00"


class TestACall:
    def test_says_who_asks_and_for_whom(self):
        """An interaction's id on each, and the customer where there is one."""
        customer = Customer(
            ip_address="203.0.113.7", user_agent="Browser/1", signed_in_at=datetime(2026, 11, 20, 12, 0, 5, tzinfo=UTC)
        )
        order = Order("GET", "aisp", path_of("accounts", "wal_1", "balances"), OBReadAccount6)
        call = call_of(
            order,
            "https://bank.example/t/b",
            headers={"user-agent": "billfold", "accept": "x"},
            timeouts=Timeouts(),
            manner=MANNER.on_behalf_of(customer),
        )
        assert call.url == "https://bank.example/t/b/open-banking/v4.0/aisp/accounts/wal_1/balances"
        assert call.headers["x-fapi-auth-date"] == "Fri, 20 Nov 2026 12:00:05 GMT"
        assert call.headers["x-fapi-customer-ip-address"] == "203.0.113.7"
        assert call.headers["accept"] == "application/json"
        assert len(call.headers["x-fapi-interaction-id"]) == 36
        assert call.repeatable

    def test_is_repeated_only_where_that_is_safe(self):
        """What is sent under a key, and questions."""
        for method, key, repeatable in (("POST", None, False), ("POST", "k", True), ("DELETE", None, False)):
            assert Order(method, "pisp", "/x", OBReadAccount6, key=key).repeatable is repeatable

    def test_has_a_key_of_forty_characters_at_most(self):
        """The caller's own, or a new one for each call."""
        assert new_key("k" * 40) == "k" * 40
        assert len(new_key(None)) == 32
        assert new_key(None) != new_key(None)
        for wrong in ("", "k" * 41, "a b", "é", "a\n"):
            with pytest.raises(ValueError, match="40"):
                new_key(wrong)

    def test_leads_nowhere_else_by_an_id(self):
        """An id is one segment of a path, whatever is in it."""
        assert path_of("accounts", "../x") == "/accounts/..%2Fx"
        with pytest.raises(ValueError, match="empty"):
            path_of("accounts", "..")

    def test_sends_instants_in_utc(self):
        """Banks pass over the zone."""
        assert query_of(a=datetime(2026, 1, 1, tzinfo=UTC), b=None) == {"a": "2026-01-01T00:00:00Z"}


class TestTheNextPage:
    ORDER = Order("GET", "aisp", "/transactions", OBReadAccount6)

    def test_is_where_the_bank_says(self):
        """Of its link, the query alone is taken, so that the token goes nowhere else."""
        link = "https://elsewhere.example/open-banking/v4.0/aisp/transactions?cursor=c%2B2"
        assert next_query(link, self.ORDER, {}) == {"cursor": "c+2"}
        assert next_query(msgspec.UNSET, self.ORDER, {}) is None

    @pytest.mark.parametrize(
        "link",
        [
            "https://bank.example/open-banking/v4.0/aisp/accounts?cursor=2",
            "https://bank.example/open-banking/v4.0/aisp/transactions?cursor=1",
        ],
    )
    def test_is_neither_another_list_nor_the_same(self, link: str):
        """A list that never ends, or goes on as another, is told."""
        with pytest.raises(errors.MalformedAnswer):
            next_query(link, self.ORDER, {"cursor": "1"})
