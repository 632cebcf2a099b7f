"""A bank with a customer and a third party, and everything that operations need: consents, tokens, payments.

Consents are asked for over HTTP, as a third party does; the customer authorises them as the consent page would have.
"""

import secrets
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final

from billfold import ids
from billfold.ids import Prefix
from billfold_server.consents.service import Owner
from tests.live import LiveServer
from tests.server.open_banking.accounts.banking import Bank
from tests.server.open_banking.third_parties import ThirdParty

__all__ = ["CURRENCY", "PERMISSIONS", "Scene"]

CURRENCY: Final = "EUR"
PERMISSIONS: Final = (
    "ReadAccountsDetail", "ReadBalances", "ReadBeneficiariesDetail", "ReadDirectDebits", "ReadOffers", "ReadPAN",
    "ReadParty", "ReadPartyPSU", "ReadProducts", "ReadScheduledPaymentsDetail", "ReadStandingOrdersDetail",
    "ReadStatementsDetail", "ReadTransactionsCredits", "ReadTransactionsDebits", "ReadTransactionsDetail",
)  # fmt: skip
_RISK: Final = {"PaymentContextCode": "TransferToSelf"}


class Scene:
    """What a third party works with at one bank.

    Args:
        bank: The bank, with its customer.
        tpp: The third party.
    """

    def __init__(self, bank: Bank, tpp: ThirdParty) -> None:
        self.bank = bank
        self.tpp = tpp

    @classmethod
    def open(cls, live: LiveServer, slug: str) -> "Scene":
        """Return the scene of a tenant that is there."""
        return cls(Bank.open(live, slug), ThirdParty.register(live, slug))

    def with_another(self) -> "Scene":
        """Return the same bank as another third party sees it."""
        return Scene(self.bank, ThirdParty.register(self.bank.live, self.bank.slug))

    @property
    def owner(self) -> Owner:
        """Return the customer."""
        assert self.bank.person.party_id is not None
        return Owner(user_id=self.bank.person.user_id, party_id=self.bank.person.party_id)

    @property
    def payer(self) -> str:
        """Return the wallet that pays."""
        return self.bank.wallets[0]

    @property
    def payee(self) -> dict[str, str]:
        """Return the account that is paid."""
        return {"SchemeName": "UK.OBIE.Wallet", "Identification": self.bank.wallets[1], "Name": "Grace Hopper"}

    # Consents: each returns the consent's id.

    def ask(self, path: str, body: Any) -> str:
        """Ask for a consent."""
        answer = self.tpp.post(path, body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["Data"]["ConsentId"])

    def authorised(self, consent: str, wallets: tuple[str, ...] | None = None) -> str:
        """Let the customer authorise a consent with some wallets, and return its token."""
        chosen = tuple(ids.decode(Prefix.WALLET, each) for each in wallets or (self.payer,))
        return self.tpp.authorise(consent, self.owner, chosen)

    def account_request(self, permissions: tuple[str, ...] = PERMISSIONS) -> dict[str, Any]:
        """Return what is asked to read accounts."""
        until = (datetime.now(UTC) + timedelta(days=30)).isoformat()
        return {"Data": {"Permissions": list(permissions), "ExpirationDateTime": until}, "Risk": {}}

    def account_consent(self, permissions: tuple[str, ...] = PERMISSIONS) -> str:
        """Ask to read accounts."""
        return self.ask("/aisp/account-access-consents", self.account_request(permissions))

    def funds_request(self) -> dict[str, Any]:
        """Return what is asked to confirm funds."""
        account = {"SchemeName": "UK.OBIE.Wallet", "Identification": self.payer}
        return {"Data": {"DebtorAccount": account}}

    def funds_consent(self) -> str:
        """Ask to confirm funds."""
        return self.ask("/cbpii/funds-confirmation-consents", self.funds_request())

    def confirmation(self, consent: str) -> dict[str, Any]:
        """Return a question for funds."""
        amount = {"Amount": "1.00", "Currency": CURRENCY}
        return {"Data": {"ConsentId": consent, "Reference": "Shop", "InstructedAmount": amount}}

    def payment_request(self, amount: str = "0.05") -> dict[str, Any]:
        """Return what is asked to pay once."""
        initiation = {
            "InstructionIdentification": secrets.token_hex(10),
            "EndToEndIdentification": secrets.token_hex(10),
            "InstructedAmount": {"Amount": amount, "Currency": CURRENCY},
            "CreditorAccount": self.payee,
        }
        return {"Data": {"Initiation": initiation}, "Risk": _RISK}

    def payment_consent(self, request: dict[str, Any]) -> str:
        """Ask to pay once."""
        return self.ask("/pisp/domestic-payment-consents", request)

    def payment(self, consent: str, request: dict[str, Any]) -> dict[str, Any]:
        """Return the order of a payment that was agreed to."""
        return {"Data": {"ConsentId": consent, "Initiation": request["Data"]["Initiation"]}, "Risk": request["Risk"]}

    def recurring_request(self) -> dict[str, Any]:
        """Return what is asked to pay again and again."""
        agreed = {
            "VRPType": ["UK.OBIE.VRPType.Sweeping"],
            "PSUAuthenticationMethods": ["UK.OBIE.SCANotRequired"],
            "MaximumIndividualAmount": {"Amount": "9.00", "Currency": CURRENCY},
            "PeriodicLimits": [
                {"PeriodType": "Month", "PeriodAlignment": "Consent", "Amount": "100000.00", "Currency": CURRENCY}
            ],
        }
        return {
            "Data": {"ControlParameters": agreed, "Initiation": {"CreditorAccount": self.payee}},
            "Risk": _RISK,
        }

    def recurring_consent(self) -> str:
        """Ask to pay again and again."""
        return self.ask("/pisp/domestic-vrp-consents", self.recurring_request())

    def recurring(self, consent: str, amount: str = "0.05") -> dict[str, Any]:
        """Return the order of one of those payments."""
        instruction = {
            "InstructionIdentification": secrets.token_hex(10),
            "EndToEndIdentification": secrets.token_hex(10),
            "InstructedAmount": {"Amount": amount, "Currency": CURRENCY},
            "CreditorAccount": self.payee,
        }
        return {
            "Data": {
                "ConsentId": consent,
                "PSUAuthenticationMethod": "UK.OBIE.SCANotRequired",
                "VRPType": "UK.OBIE.VRPType.Sweeping",
                "Initiation": {"CreditorAccount": self.payee},
                "Instruction": instruction,
            },
            "Risk": _RISK,
        }

    def funds_question(self, consent: str) -> dict[str, Any]:
        """Return a question for funds of a recurring payment."""
        amount = {"Amount": "1.00", "Currency": CURRENCY}
        return {"Data": {"ConsentId": consent, "Reference": "Shop", "InstructedAmount": amount}}

    # What stands for as long as the scene does, made when it is first asked for.

    @cached_property
    def accounts(self) -> tuple[str, str]:
        """Return a consent to read everything, and its token."""
        consent = self.account_consent()
        return consent, self.authorised(consent, self.bank.wallets)

    @cached_property
    def funds(self) -> tuple[str, str]:
        """Return a consent to confirm funds, and its token."""
        consent = self.funds_consent()
        return consent, self.authorised(consent)

    @cached_property
    def waiting(self) -> tuple[str, str]:
        """Return a consent to pay that was authorised and isn't used, and its token."""
        consent = self.payment_consent(self.payment_request())
        return consent, self.authorised(consent)

    @cached_property
    def paid(self) -> str:
        """Return a payment."""
        request = self.payment_request()
        consent = self.payment_consent(request)
        token = self.authorised(consent)
        answer = self.tpp.post("/pisp/domestic-payments", self.payment(consent, request), token=token)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["Data"]["DomesticPaymentId"])

    @cached_property
    def agreed(self) -> tuple[str, str]:
        """Return a consent to pay again and again, and its token."""
        consent = self.recurring_consent()
        return consent, self.authorised(consent)

    @cached_property
    def paid_again(self) -> str:
        """Return one of those payments."""
        consent, token = self.agreed
        answer = self.tpp.post("/pisp/domestic-vrps", self.recurring(consent), token=token)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["Data"]["DomesticVRPId"])

    @cached_property
    def statement(self) -> str:
        """Return a statement of the first wallet."""
        answer = self.tpp.get(f"/aisp/accounts/{self.payer}/statements", token=self.accounts[1])
        return str(answer.json()["Data"]["Statement"][0]["StatementId"])

    def subscribe(self) -> str:
        """Return a subscription to events, which takes the place of an earlier one."""
        for each in self.tpp.get("/event-subscriptions").json()["Data"].get("EventSubscription", []):
            self.tpp.request("DELETE", f"/event-subscriptions/{each['EventSubscriptionId']}")
        answer = self.tpp.post("/event-subscriptions", self.subscription_request())
        assert answer.status_code == 201, answer.text
        return str(answer.json()["Data"]["EventSubscriptionId"])

    def subscription_request(self) -> dict[str, Any]:
        """Return a subscription."""
        events = ["urn:uk:org:openbanking:events:resource-update"]
        return {"Data": {"CallbackUrl": "https://tpp.example/open-banking/v4.0/event-notifications",
                         "Version": "4.0", "EventTypes": events}}  # fmt: skip
