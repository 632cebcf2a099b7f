"""Answers are read through open types (billfold.client._open), so that an older SDK survives a newer server."""

import copy
import importlib
import json
import pickle
import pkgutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold import Money, contract, errors, is_known
from billfold.client import _operations as operations
from billfold.client._open import decoder, open_type, page_type
from billfold.contract import (
    account_statements,
    arrangements,
    bookings,
    card_sessions,
    clients,
    common,
    consents,
    data_keys,
    events,
    ledger,
    oauth,
    parties,
    partner_sandboxes,
    partners,
    payments,
    platform,
    privacy,
    requests,
    sandbox,
    statements,
    tokens,
    wallets,
    webhooks,
)

WIRE = Path(__file__).parent / "wire"
MODULES = [
    account_statements,
    arrangements,
    bookings,
    card_sessions,
    clients,
    common,
    consents,
    data_keys,
    events,
    ledger,
    oauth,
    parties,
    partner_sandboxes,
    partners,
    payments,
    platform,
    privacy,
    requests,
    sandbox,
    statements,
    tokens,
    wallets,
    webhooks,
]
RESPONSES: dict[str, type[common.Response]] = {
    name: getattr(module, name)
    for module in MODULES
    for name in module.__all__
    if isinstance(getattr(module, name), type)
    and issubclass(getattr(module, name), common.Response)
    and name not in {"Expanded", "Response", "Page", "TokenRequest"}
}
SAMPLES = sorted(WIRE.glob("*/*.json"))


FREE = {"data", "erased", "facts", "brand", "metadata", "jwks", "request", "shown", "terms", "headers", "query", "body"}
"""Members whose own members are anybody's."""


def changed(value: Any) -> Any:
    """Return a JSON value as a newer server may send it: each object has a field more."""
    if isinstance(value, dict):
        same = {name: each if name in FREE else changed(each) for name, each in value.items()}
        return same | {"of_tomorrow": [{"x": 1.5}, None]}
    return [changed(each) for each in value] if isinstance(value, list) else value


class TestAWireSample:
    @pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
    def test_is_read(self, path: Path):
        """What a release's server sent is read into the contract's type, and says the same."""
        cls = RESPONSES[path.stem]
        answer = decoder(cls)(path.read_bytes())
        assert isinstance(answer, cls)
        assert json.loads(msgspec.json.encode(answer)) == json.loads(path.read_bytes())

    @pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
    def test_is_read_with_fields_of_tomorrow(self, path: Path):
        """Fields that this SDK doesn't know change nothing, however deep they are."""
        read = decoder(RESPONSES[path.stem])
        newer = changed(json.loads(path.read_bytes()))
        assert read(json.dumps(newer).encode()) == read(path.read_bytes())

    def test_is_there_for_every_response(self):
        """Everything that the client reads has a sample of this version, inside of another or alone."""
        # What OAuth's endpoints answer is read by billfold.auth, through types of its own, but for refusals.
        inside_or_not_read = {"Violation", *oauth.__all__} - {"OAuthError"}
        samples = {path.stem for path in (WIRE / "0.1").glob("*.json")}
        assert set(RESPONSES) - inside_or_not_read <= samples <= set(RESPONSES)


class TestAnOpenType:
    @pytest.mark.parametrize("name", sorted(RESPONSES))
    def test_is_a_subclass_of_the_contracts(self, name: str):
        """It has the name, the fields and the documentation of the contract's class, and is one."""
        cls = open_type(RESPONSES[name])
        assert issubclass(cls, RESPONSES[name])
        assert (cls.__name__, cls.__struct_fields__) == (name, RESPONSES[name].__struct_fields__)
        assert cls.__doc__ == RESPONSES[name].__doc__

    @pytest.mark.parametrize("name", sorted(RESPONSES))
    def test_is_found_by_name(self, name: str):
        """Pickle finds each open type, and each page of it, where they say that they are."""
        module = importlib.import_module("billfold.client._open")
        assert getattr(module, name) is open_type(RESPONSES[name])
        assert getattr(module, f"{name}Page") is page_type(RESPONSES[name])

    def test_of_every_module_of_the_contract_is_found_by_name(self):
        """An answer crosses a process boundary whatever it is about: also users, approvals and what events say."""
        every = [
            each
            for module in pkgutil.iter_modules(contract.__path__, f"{contract.__name__}.")
            for each in vars(importlib.import_module(module.name)).values()
            if isinstance(each, type) and issubclass(each, common.Response) and each.__name__.isalnum()
        ]
        every = [each for each in every if each not in {common.Response, common.Page}]
        assert len(every) > len(RESPONSES)
        for each in every:
            assert pickle.loads(pickle.dumps(open_type(each))) is open_type(each)  # noqa: S301  # Our own bytes.

    def test_of_a_name_that_is_none_is_not_found(self):
        """Other names are no attributes."""
        with pytest.raises(AttributeError):
            importlib.import_module("billfold.client._open").Nothing  # noqa: B018

    def test_checks_none_of_the_constraints_of_the_server(self):
        """An id of another form, or a longer text, is the server's business."""
        assert decoder(wallets.Alias)(
            b'{"id":"ALIAS-1","wallet_id":"","scheme":"iban","value":"","created_at":"2026-11-20T12:00:00Z"}'
        )

    def test_takes_words_of_tomorrow(self):
        """A literal of the contract is any text, since a newer server may know more of them."""
        assert decoder(platform.Health)(b'{"status":"degraded"}').status == "degraded"

    def test_has_no_naive_instants(self):
        """An instant without an offset is no instant."""
        with pytest.raises(errors.MalformedAnswer):
            decoder(platform.TenantClock)(b'{"now":"2026-11-20T12:00:00","controllable":true,"frozen":true}')


PARTY = (WIRE / "0.1" / "Party.json").read_bytes()


def party(**changes: Any) -> parties.Party:
    """Return the sample's party, read with other values."""
    values = {**json.loads(PARTY), **changes}
    answer: parties.Party = decoder(parties.Party)(json.dumps(values).encode())
    return answer


class TestAnEnum:
    def test_keeps_its_own_members(self):
        """A value that is known is the contract's member itself."""
        assert party(kind="person").kind is parties.PartyKind.PERSON

    def test_survives_a_value_of_tomorrow(self):
        """An unknown value is an instance of the enum, and equal to its text."""
        kind = party(kind="trust").kind
        assert isinstance(kind, parties.PartyKind)
        assert (kind, kind.value, kind.name, f"{kind}") == ("trust", "trust", "UNKNOWN", "trust")
        assert (is_known(kind), is_known(parties.PartyKind.PERSON)) == (False, True)
        assert kind not in set(parties.PartyKind)

    def test_survives_it_inside_of_a_list(self):
        """Known and unknown values stand side by side."""
        assert party(roles=["customer", "agent"]).roles == [parties.PartyRole.CUSTOMER, "agent"]

    def test_stays_closed_for_others(self):
        """Reading an unknown value doesn't teach it to the enum that the server checks requests by."""
        party(kind="trust")
        assert [member.value for member in parties.PartyKind] == ["person", "company"]
        with pytest.raises(ValueError, match="trust"):
            parties.PartyKind("trust")

    def test_is_never_another_type(self):
        """A number where a word should be isn't in the contract's words."""
        with pytest.raises(errors.MalformedAnswer):
            party(kind=3)

    def test_survives_pickle_and_copy(self):
        """An answer with an unknown value crosses a process boundary."""
        answer = party(kind="trust", roles=["customer", "agent"])
        for other in (pickle.loads(pickle.dumps(answer)), copy.copy(answer), copy.deepcopy(answer)):  # noqa: S301
            assert other == answer
            assert (other.kind.value, other.roles[0]) == ("trust", parties.PartyRole.CUSTOMER)

    def test_is_written_as_it_was_read(self):
        """An unknown value goes back over the wire unchanged."""
        assert json.loads(msgspec.json.encode(party(kind="trust")))["kind"] == "trust"


class TestMoney:
    TRANSFER = (WIRE / "0.1" / "Transfer.json").read_bytes()

    def read(self, amount: Any) -> Any:
        """Return a transfer's amount, read from any JSON value."""
        return decoder(wallets.Transfer)(json.dumps({**json.loads(self.TRANSFER), "amount": amount}).encode()).amount

    def test_equals_what_the_caller_made(self):
        """Money that was read is the contract's own class."""
        assert self.read({"amount_minor": 1250, "currency": "EUR"}) == Money(1250, "EUR")

    def test_survives_a_currency_of_tomorrow(self):
        """ISO 4217 changes; an older SDK reads what it doesn't know."""
        amount = self.read({"amount_minor": 1, "currency": "QQQ", "of_tomorrow": 1})
        assert amount.currency == "QQQ"
        assert str(amount) == "1 minor units of QQQ"

    @pytest.mark.parametrize(
        "amount", [None, 5, {}, {"amount_minor": 1.5, "currency": "EUR"}, {"amount_minor": True, "currency": "EUR"}]
    )
    def test_is_never_anything_else(self, amount: Any):
        """An amount without currency or with a fraction isn't in the contract's words."""
        with pytest.raises(errors.MalformedAnswer):
            self.read(amount)


class TestGarbage:
    @given(st.binary(max_size=100))
    def test_is_an_error_of_ours(self, body):
        """Whatever comes, the caller catches a BillfoldError."""
        for operation in (operations.GET_WALLET, operations.LIST_EVENTS):
            with pytest.raises(errors.MalformedAnswer):
                operation.read(body)

    def test_shows_nothing_of_the_answer(self):
        """The error's text holds the place of the mistake, not what was there."""
        with pytest.raises(errors.MalformedAnswer) as caught:
            party(name=4711, email="ada@example.com")
        assert "$.name" in str(caught.value)
        assert not any(secret in str(caught.value) for secret in ("4711", "ada@"))
