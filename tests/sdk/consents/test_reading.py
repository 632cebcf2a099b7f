"""Banks' answers are read through open forms of the contract's classes."""

import copy
import importlib
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from billfold import errors
from billfold.consents import reading
from billfold.consents.reading import open_form, reader
from billfold.contract.open_banking.accounts import OBReadBalance1, OBReadConsentResponse1
from billfold.contract.open_banking.common import Links, OBRisk1
from billfold.contract.open_banking.vrp import OBDomesticVRPControlParameters

MODULES = [importlib.import_module(f"billfold.contract.open_banking.{area}") for area in reading._AREAS]
CLASSES = sorted(
    {
        found
        for module in MODULES
        for name in module.__all__
        if isinstance(found := getattr(module, name), type) and issubclass(found, msgspec.Struct)
    },
    key=lambda each: each.__name__,
)
CONSENT: dict[str, Any] = {
    "Data": {
        "ConsentId": "con_1",
        "CreationDateTime": "2026-11-20T12:00:00+00:00",
        "Status": "AWAU",
        "StatusUpdateDateTime": "2026-11-20T12:00:00+00:00",
        "Permissions": ["ReadBalances"],
    },
    "Risk": {},
    "Links": {"Self": "https://bank.example/"},
}


class TestAnOpenForm:
    @pytest.mark.parametrize("cls", CLASSES, ids=lambda each: each.__name__)
    def test_is_there_for_every_class(self, cls: type[msgspec.Struct]):
        """It is the contract's class, with the same members under the same names on the wire."""
        form = open_form(cls)
        assert issubclass(form, cls)
        assert (form.__name__, form.__doc__) == (cls.__name__, cls.__doc__)
        names = [
            [(each.name, each.encode_name, each.required) for each in msgspec.structs.fields(c)] for c in (cls, form)
        ]
        assert names[0] == names[1]
        assert getattr(reading, cls.__name__) is form

    def test_of_another_name_is_none(self):
        """Other names are no attributes."""
        with pytest.raises(AttributeError):
            reading.OBNothing  # noqa: B018

    def test_passes_over_what_it_doesnt_know(self):
        """Members and codes of tomorrow change nothing, even where the documents are closed."""
        newer = copy.deepcopy(CONSENT)
        newer["Data"] |= {"Of": "tomorrow", "Status": "NEWC", "Permissions": ["ReadTomorrow"]}
        newer |= {"Tomorrow": 1, "Links": {"Self": "x", "Of": "y"}}
        answer = reader(OBReadConsentResponse1)(msgspec.json.encode(newer))
        assert isinstance(answer, OBReadConsentResponse1)
        assert (answer.data.status, answer.data.permissions) == ("NEWC", ["ReadTomorrow"])
        assert isinstance(answer.links, Links)

    def test_says_what_was_said(self):
        """What is sent back to the bank is what it has sent, so that a payment is the one that was agreed to."""
        answer = reader(OBReadConsentResponse1)(msgspec.json.encode(CONSENT))
        assert answer.data.creation_date_time == datetime(2026, 11, 20, 12, tzinfo=UTC)
        assert answer.data.expiration_date_time is UNSET
        again = msgspec.json.decode(msgspec.json.encode(answer))
        assert again["Data"]["ConsentId"] == "con_1"
        assert set(again["Data"]) == set(CONSENT["Data"])
        assert copy.deepcopy(answer) == answer

    def test_keeps_acronyms_as_they_are(self):
        """Names with a rule of their own on the wire keep it."""
        said = {
            "MaximumIndividualAmount": {"Amount": "1.00", "Currency": "GBP"},
            "PeriodicLimits": [
                {"PeriodType": "Day", "PeriodAlignment": "Consent", "Amount": "1.00", "Currency": "GBP"}
            ],
            "VRPType": ["UK.OBIE.VRPType.Sweeping"],
            "PSUAuthenticationMethods": ["UK.OBIE.SCANotRequired"],
        }
        read = reader(OBDomesticVRPControlParameters)(msgspec.json.encode(said))
        assert msgspec.json.decode(msgspec.json.encode(read)) == said

    @pytest.mark.parametrize("body", [b"", b"[]", b'{"Data": {}}', b"\xff", b"[" * 100_000], ids=len)
    def test_of_something_else_is_a_malformed_answer(self, body: bytes):
        """What isn't in the contract's words is told in one way."""
        with pytest.raises(errors.MalformedAnswer):
            reader(OBReadBalance1)(body)

    def test_needs_the_zone_of_an_instant(self):
        """An instant without one would be a trap for whoever compares it."""
        naive = copy.deepcopy(CONSENT)
        naive["Data"]["CreationDateTime"] = "2026-11-20T12:00:00"
        with pytest.raises(errors.MalformedAnswer):
            reader(OBReadConsentResponse1)(msgspec.json.encode(naive))
        assert reader(OBRisk1)(b"{}") == open_form(OBRisk1)()
