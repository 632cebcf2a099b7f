"""What third parties may write that customers are shown, and by which names they are told what was wrong."""

import json
from typing import Any

import msgspec
import pytest

from billfold import errors
from billfold.contract.open_banking.payments import OBWriteDomestic2
from billfold_server.open_banking.edge.errors import refusal_of
from billfold_server.open_banking.edge.texts import check_texts


def order(**more: Any) -> dict[str, Any]:
    """Return the order of a payment."""
    payee = {"SchemeName": "UK.OBIE.IBAN", "Identification": "GB29NWBK60161331926819", "Name": "Books & Co"}
    initiation = {
        "InstructionIdentification": "i-1",
        "EndToEndIdentification": "e-1",
        "InstructedAmount": {"Amount": "10.00", "Currency": "GBP"},
        "CreditorAccount": {**payee, **more.pop("payee", {})},
        **more,
    }
    return {"Data": {"ConsentId": "c", "Initiation": initiation}, "Risk": {}}


def refused(said: dict[str, Any], *, escaped: bool) -> tuple[str, str] | None:
    """Return the code and the path by which a text is refused, or None where none is."""
    body = json.dumps(said, ensure_ascii=escaped).encode()
    try:
        check_texts(body, msgspec.json.decode(body, type=OBWriteDomestic2))
    except errors.ProblemError as error:
        refusal = refusal_of(error, "r")
        assert refusal.body is not None
        (one,) = refusal.body.errors
        return one.error_code, str(one.path)
    return None


NAME = "Data.Initiation.CreditorAccount.Name"
REFERENCE = "Data.Initiation.RemittanceInformation.Unstructured[1]"
HIDDEN = (
    ({"payee": {"Name": "St James \u202eLettings <b>"}}, NAME),
    ({"payee": {"Name": "\u200b"}}, NAME),
    ({"payee": {"Name": " \u00a0"}}, NAME),
    ({"payee": {"Name": "X\n12-34-56"}}, NAME),
    ({"RemittanceInformation": {"Unstructured": ["1", "Rent \u202e00.1"]}}, REFERENCE),
    ({"RemittanceInformation": {"Unstructured": ["1", "  "]}}, REFERENCE),
    ({"payee": {"Name": "A\x7fB"}}, NAME),
    ({"EndToEndIdentification": "e\u20661"}, "Data.Initiation.EndToEndIdentification"),
    ({"CreditorPostalAddress": {"AddressLine": ["\u200fx"]}}, "Data.Initiation.CreditorPostalAddress.AddressLine[0]"),
)


class TestARequestOfAThirdParty:
    """A request of a third party."""

    @pytest.mark.parametrize("escaped", [True, False])
    @pytest.mark.parametrize(("said", "path"), HIDDEN)
    def test_hides_nothing(self, said: dict[str, Any], path: str, escaped: bool) -> None:  # noqa: FBT001 - a parameter
        """However it is written down, it is refused with ``U002`` and the path of the text."""
        assert refused(order(**said), escaped=escaped) == ("U002", path)

    @pytest.mark.parametrize("escaped", [True, False])
    @pytest.mark.parametrize("name", ["Books & Co", "מאפיית לחם", "مخبز", "👨‍👩‍👧 Bakery", "می‌خواهم"])
    def test_may_be_in_any_language(self, name: str, escaped: bool) -> None:  # noqa: FBT001 - a parameter
        """Names in every script pass, and so do blank lines of an address."""
        address = {"AddressLine": [" ", "1 Main Street"]}
        assert refused(order(payee={"Name": name}, CreditorPostalAddress=address), escaped=escaped) is None


class TestAPath:
    """A path."""

    @pytest.mark.parametrize("error", list(errors.ERRORS.values()))
    def test_is_never_one_of_our_own_names(self, error: type[errors.ProblemError]) -> None:
        """Whatever is refused, what our own interface calls a value is no path here."""
        names = {"to_wallet_id": "Data.Initiation.CreditorAccount"}
        for param in ("to_wallet_id", "from_wallet_id", "creditor.identification", "lines[0].amount", "currency"):
            refusal = refusal_of(errors.ValidationFailed("", param=param), "r", names=names)
            assert refusal.body is not None
            assert refusal.body.errors[0].path in {msgspec.UNSET, names.get(param)}
            made = error.__new__(error)
            errors.ProblemError.__init__(made, "", param=param)
            made.__dict__["facts"] = {"scope": "accounts", "fault": "invalid"}
            said = refusal_of(made, "r", names=names).body
            assert said is None or said.errors[0].path in {msgspec.UNSET, names.get(param)}

    def test_that_the_standard_has_is_told(self) -> None:
        """Members of a body, parameters and headers are named as the documents name them."""
        of_headers, of_bodies = ("x-fapi-auth-date", "payload-version"), ("Data.Initiation.CreditorAccount", "ack[...]")
        for param in (*of_headers, *of_bodies, "fromBookingDateTime", "page", "body", "ack", "setErrs"):
            body = refusal_of(errors.ValidationFailed("", param=param), "r").body
            assert body is not None
            assert body.errors[0].path == param
