"""A third party's way with a customer, by the SDK alone, at a real bank: from the statement to the money."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import pytest

from billfold import AsyncBillfold, Billfold, Money, errors
from billfold.auth import AccessDenied, Pending, UserTokens
from billfold.auth import _jwt as jwt
from billfold.consents import (
    AsyncThirdParty,
    Forbidden,
    Limit,
    OpenBankingRefusal,
    RequestRefused,
    SecurityEvent,
    SecurityEventInvalid,
    ThirdParty,
    account,
    amount,
    control_parameters,
    domestic_payment,
    instruction,
    recurring_payments,
)
from billfold.consents import (
    Customer as Present,
)
from billfold.keys import PemKey
from tests.live import LiveServer
from tests.sdk.consents.customers import CALLBACK, Customer, ThirdPartysBank, made

pytestmark = pytest.mark.xdist_group("third parties")

TRANSACTIONS: Final = ("ReadTransactionsDetail", "ReadTransactionsCredits", "ReadTransactionsDebits")
SHOPPER = Present(ip_address="203.0.113.7", user_agent="Browser/1", signed_in_at=datetime(2026, 11, 20, tzinfo=UTC))


@pytest.fixture(scope="module")
def bank(live: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> ThirdPartysBank:
    """A bank at which the third party has registered."""
    return ThirdPartysBank(live, "ukbank", tmp_path_factory.mktemp("directory"))


@pytest.fixture(scope="module")
def customer(bank: ThirdPartysBank) -> Customer:
    """A customer with money."""
    return Customer(bank.live, bank.slug)


@pytest.fixture(scope="module")
def third_party(bank: ThirdPartysBank) -> Iterator[ThirdParty]:
    """The third party."""
    with Billfold(base_url=bank.base, auth=bank.auth()) as client:
        yield ThirdParty(client, redirect_uri=CALLBACK)


def allowed(third_party: ThirdParty, customer: Customer, consent_id: str, scope: str, *wallets: str) -> UserTokens:
    """Let the customer agree to a consent, and return what that allows."""
    url, pending = third_party.begin(consent_id, scope=f"openid {scope}")
    return third_party.complete(Pending.load(pending.dump()), customer.agree(url, *wallets))


class TestRecurringPayments:
    def test_are_allowed_once_and_made_within_limits(self, third_party: ThirdParty, customer: Customer):
        """Paid until a limit is reached, followed to the end, and over when the consent is given back."""
        savings = account("UK.OBIE.Wallet", customer.savings, "Ada Lovelace")
        consent = third_party.domestic_vrp_consents.create(
            control_parameters(("20", "GBP"), [Limit("Month", ("30", "GBP"))]),
            recurring_payments(to=savings),
        )
        consent_id = consent.data.consent_id
        assert third_party.domestic_vrp_consents.get(consent_id).data.status == "AWAU"
        tokens = allowed(third_party, customer, consent_id, "payments", customer.wallet)
        assert third_party.domestic_vrp_consents.get(consent_id).data.status == "AUTH"
        acting = third_party.as_user(tokens)
        funds = acting.domestic_vrp_consents.confirm_funds(consent_id, ("20", "GBP"))
        assert funds.data.funds_available_result.funds_available == "Available"
        paid = acting.domestic_vrps.create(consent, instruction(("20", "GBP"), savings))
        ended = third_party.domestic_vrps.follow(paid.data.domestic_vrp_id, timeout_s=60)
        assert ended.data.status in {"ACSC", "ACCC"}
        with pytest.raises(RequestRefused) as refused:
            acting.domestic_vrps.create(consent, instruction(("20", "GBP"), savings))
        assert refused.value.errors
        assert refused.value.interaction_id is not None
        third_party.domestic_vrp_consents.delete(consent_id)
        with pytest.raises(errors.ProblemError):
            acting.domestic_vrps.create(consent, instruction(("1", "GBP"), savings))

    def test_are_paid_once_under_one_key(self, third_party: ThirdParty, customer: Customer):
        """The same order again is the same payment; another under the same key is refused."""
        savings = account("UK.OBIE.Wallet", customer.savings, "Ada Lovelace")
        limits = control_parameters(("20", "GBP"), [Limit("Day", ("30", "GBP"))])
        consent = third_party.domestic_vrp_consents.create(limits, recurring_payments(to=savings))
        tokens = allowed(third_party, customer, consent.data.consent_id, "payments", customer.wallet)
        acting, order = third_party.as_user(tokens), instruction(("5", "GBP"), savings)
        first, again = (
            acting.domestic_vrps.create(consent, order, idempotency_key="one-key").data.domestic_vrp_id
            for _ in range(2)
        )
        assert first == again
        with pytest.raises(OpenBankingRefusal):
            acting.domestic_vrps.create(consent, instruction(("6", "GBP"), savings), idempotency_key="one-key")

    def test_that_are_refused_leave_nothing(self, third_party: ThirdParty, customer: Customer):
        """The customer's no comes back as one, and nothing can be paid."""
        savings = account("UK.OBIE.Wallet", customer.savings, "Ada Lovelace")
        limits = control_parameters(("20", "GBP"), [Limit("Day", ("30", "GBP"))])
        consent = third_party.domestic_vrp_consents.create(limits, recurring_payments(to=savings))
        url, pending = third_party.begin(consent.data.consent_id, scope="openid payments")
        with pytest.raises(AccessDenied):
            third_party.complete(pending, customer.agree(url, customer.wallet, decision="refuse"))
        assert third_party.domestic_vrp_consents.get(consent.data.consent_id).data.status == "RJCT"


class TestAPayment:
    def test_is_agreed_to_and_followed_to_its_end(self, third_party: ThirdParty, customer: Customer):
        """What the customer has seen is paid, once; what is told of it and how it came there is the bank's."""
        savings = account("UK.OBIE.Wallet", customer.savings, "Ada Lovelace")
        consent = third_party.domestic_payment_consents.create(
            domestic_payment(("12.50", "GBP"), savings, reference="Rent")
        )
        consent_id = consent.data.consent_id
        tokens = allowed(third_party, customer, consent_id, "payments", customer.wallet)
        acting = third_party.as_user(tokens).on_behalf_of(SHOPPER)
        funds = acting.domestic_payment_consents.confirm_funds(consent_id)
        assert funds.data.funds_available_result
        assert funds.data.funds_available_result.funds_available
        paid = acting.domestic_payments.create(consent)
        payment_id = paid.data.domestic_payment_id
        ended = third_party.domestic_payments.follow(payment_id, timeout_s=60)
        assert ended.data.status in {"ACSC", "ACCC"}
        assert ended.data.initiation.instructed_amount.amount == "12.50"
        assert third_party.domestic_payments.details(payment_id).data.payment_status
        assert third_party.domestic_payment_consents.get(consent_id).data.status == "COND"
        with pytest.raises(OpenBankingRefusal):
            acting.domestic_payments.create(consent)

    def test_is_the_one_that_was_agreed_to(self, third_party: ThirdParty, customer: Customer):
        """Another amount under the same consent is refused by the standard's code, and the consent stays good."""
        savings = account("UK.OBIE.Wallet", customer.savings, "Ada Lovelace")
        consent = third_party.domestic_payment_consents.create(domestic_payment(("1", "GBP"), savings))
        tokens = allowed(third_party, customer, consent.data.consent_id, "payments", customer.wallet)
        initiation = msgspec.structs.replace(consent.data.initiation, instructed_amount=amount(("99", "GBP")))
        other = msgspec.structs.replace(consent, data=msgspec.structs.replace(consent.data, initiation=initiation))
        acting = third_party.as_user(tokens)
        with pytest.raises(RequestRefused) as refused:
            acting.domestic_payments.create(other)
        assert refused.value.has("U008")
        assert acting.domestic_payments.create(consent).data.status != "RJCT"


class TestAccounts:
    def test_are_read_page_by_page_as_far_as_the_consent_reaches(
        self, third_party: ThirdParty, customer: Customer, bank: ThirdPartysBank
    ):
        """What the customer has chosen, and nothing else; and nothing at all once the consent is given back."""
        with bank.live.client(bank.slug) as client:
            for number in range(1, 102):
                amount_minor = {"amount_minor": number, "currency": "GBP"}
                made(client, "/v1/top-ups", wallet_id=customer.savings, amount=amount_minor)
        consent = third_party.account_access_consents.create(
            ["ReadAccountsDetail", "ReadBalances", *TRANSACTIONS], expires_at=datetime.now(UTC) + timedelta(days=30)
        )
        consent_id = consent.data.consent_id
        tokens = allowed(third_party, customer, consent_id, "accounts", customer.savings)
        accounts = third_party.as_user(tokens).accounts
        (found,) = accounts.list()
        assert found.account_id == customer.savings
        assert accounts.get(customer.savings).account_id == customer.savings
        assert {each.amount.currency for each in accounts.balances(customer.savings)} >= {"GBP"}
        transactions = list(accounts.transactions(customer.savings))
        assert len(list(accounts.transactions(customer.savings).pages())) > 1
        assert len({each.transaction_id for each in transactions}) == len(transactions) > 100
        yet_to_come = datetime.now(UTC) + timedelta(days=1)
        assert list(accounts.transactions(customer.savings, booked_from=yet_to_come)) == []
        with pytest.raises(Forbidden):
            accounts.get(customer.wallet)
        with pytest.raises(Forbidden):
            list(accounts.beneficiaries(customer.savings))
        third_party.account_access_consents.delete(consent_id)
        with pytest.raises(errors.ProblemError):
            list(accounts.list())

    def test_are_closed_with_the_refresh_token(self, third_party: ThirdParty, customer: Customer):
        """Whoever gives the tokens back has given the consent back, and the customer sees that it has ended."""
        consent_id = third_party.account_access_consents.create(["ReadAccountsBasic"]).data.consent_id
        tokens = allowed(third_party, customer, consent_id, "accounts", customer.savings)
        assert tokens.refresh_token is not None
        third_party.revoke(tokens)
        assert third_party.account_access_consents.get(consent_id).data.status == "CANC"


class TestConfirmationOfFunds:
    def test_says_yes_or_no_and_no_more(self, third_party: ThirdParty, customer: Customer):
        """Asked by a consent of the customer's, until it is given back."""
        wallet = account("UK.OBIE.Wallet", customer.wallet, "Ada Lovelace")
        consent = third_party.funds_confirmation_consents.create(wallet)
        consent_id = consent.data.consent_id
        tokens = allowed(third_party, customer, consent_id, "fundsconfirmations", customer.wallet)
        assert third_party.funds_confirmation_consents.get(consent_id).data.status == "AUTH"
        acting = third_party.as_user(tokens)
        assert acting.funds_confirmations.create(consent_id, ("0.01", "GBP")).data.funds_available
        assert not acting.funds_confirmations.create(consent_id, Money(10**9, "GBP")).data.funds_available
        third_party.funds_confirmation_consents.delete(consent_id)
        with pytest.raises(errors.ProblemError):
            acting.funds_confirmations.create(consent_id, ("1", "GBP"))


class TestEvents:
    def test_tell_of_consents_and_are_acknowledged(self, third_party: ThirdParty, customer: Customer):
        """What has happened to a consent comes as a token of the bank's, verified, until it is acknowledged."""
        (subscription,) = [third_party.event_subscriptions.create().data]
        try:
            consent = third_party.funds_confirmation_consents.create(
                account("UK.OBIE.Wallet", customer.wallet, "Ada Lovelace")
            )
            consent_id = consent.data.consent_id
            allowed(third_party, customer, consent_id, "fundsconfirmations", customer.wallet)
            third_party.funds_confirmation_consents.delete(consent_id)
            told: dict[str, SecurityEvent] = {}
            deadline = time.monotonic() + 60
            while consent_id not in {each.resource_id for each in told.values()} and time.monotonic() < deadline:
                batch = third_party.events.poll(acknowledge=list(told), wait=True)
                assert not batch.invalid
                told |= {each.id: each for each in batch.events}
            (event,) = [each for each in told.values() if each.resource_id == consent_id][:1]
            assert event.types
            again = third_party.events.poll(acknowledge=list(told))
            assert event.id not in {each.id for each in again.events}
        finally:
            third_party.event_subscriptions.delete(subscription.event_subscription_id)
        assert not third_party.event_subscriptions.list()

    def test_of_others_are_not_believed(self, third_party: ThirdParty):
        """A token that somebody else has signed is none of the bank's."""
        key = PemKey.generate("PS256")
        data = jwt.signing_input(key, {"iss": "x", "jti": "1"}, typ="secevent+jwt")
        token = jwt.compact(data, key.sign(data))
        for each, err in ((token, "invalid_key"), (token.replace(".", "", 1), "invalid_request")):
            with pytest.raises(SecurityEventInvalid) as raised:
                third_party.events.verify(each)
            assert raised.value.err == err


class TestAThirdPartyOfAsyncio:
    async def test_pays_as_well(self, bank: ThirdPartysBank, customer: Customer):
        """The same journey, awaited; registration, signatures and following are the same code."""
        assert (await bank.registered_again()).client_id == bank.registered.client_id
        savings = account("UK.OBIE.Wallet", customer.savings, "Ada Lovelace")
        async with AsyncBillfold(base_url=bank.base, auth=bank.auth()) as client:
            third_party = AsyncThirdParty(client, redirect_uri=CALLBACK)
            consent = await third_party.domestic_payment_consents.create(domestic_payment(("2", "GBP"), savings))
            url, pending = await third_party.begin(consent.data.consent_id, scope="openid payments")
            back = await asyncio.to_thread(customer.agree, url, customer.wallet)
            tokens = await third_party.complete(pending, back)
            paid = await third_party.as_user(tokens).domestic_payments.create(consent)
            ended = await third_party.domestic_payments.follow(paid.data.domestic_payment_id, timeout_s=60)
        assert ended.data.status in {"ACSC", "ACCC"}


class TestAThirdParty:
    def test_is_refused_by_codes(self, third_party: ThirdParty):
        """What isn't there, and what isn't of its form, is told by the standard's codes."""
        with pytest.raises((RequestRefused, Forbidden)) as unknown:
            third_party.domestic_vrp_consents.get("con_0000000000000000000000000")
        assert unknown.value.errors
        nothing = control_parameters(("0.001", "BHD"), [Limit("Day", ("1", "BHD"))])
        with pytest.raises(RequestRefused) as wrong:
            third_party.domestic_vrp_consents.create(nothing, recurring_payments())
        assert len(wrong.value.code) == 4
