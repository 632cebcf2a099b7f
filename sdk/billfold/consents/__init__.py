"""Open banking from the third party's side: consents that people give, and what they allow.

The contract is the official one, Read/Write API v4.0 of UK Open Banking; so this works with every bank that serves it.

::

    from billfold import Billfold
    from billfold.auth import PrivateKeyJWT
    from billfold.consents import ThirdParty
    from billfold.keys import PemKey

    key = PemKey("signing.key")  # RSA, registered by the directory's statement.
    bank = Billfold(base_url="https://bank.example/t/bank", auth=PrivateKeyJWT("cli_…", key, dpop=dpop_key))
    third_party = ThirdParty(bank, redirect_uri="https://tpp.example/callback")

    consent = third_party.account_access_consents.create(["ReadAccountsDetail", "ReadBalances"])
    url, pending = third_party.begin(consent.data.consent_id, scope="openid accounts")  # Send the browser there.
    tokens = third_party.complete(pending, request_url)  # At the callback.
    for account in third_party.as_user(tokens).accounts.list():
        print(account.account_id)

``AsyncThirdParty`` is the same for asyncio. Models are those of ``billfold.contract.open_banking``; what isn't said in
an answer is ``msgspec.UNSET``. What can go wrong is drawn in ``billfold.consents.refusals``.
"""

from typing import TYPE_CHECKING

from billfold._lazy import lazy

if TYPE_CHECKING:
    from billfold.consents._async.pages import AsyncEntries
    from billfold.consents._async.third_party import AsyncThirdParty
    from billfold.consents._sync.pages import Entries
    from billfold.consents._sync.third_party import ThirdParty
    from billfold.consents.asking import Customer
    from billfold.consents.orders import (
        Limit,
        account,
        amount,
        control_parameters,
        domestic_payment,
        instruction,
        recurring_payments,
        risk,
    )
    from billfold.consents.refusals import (
        AnswerNotSigned,
        BankAway,
        BankUnsure,
        Busy,
        Contradicted,
        Forbidden,
        NotAuthenticated,
        NotOffered,
        OpenBankingRefusal,
        PaymentUnfinished,
        RequestRefused,
        SecurityEventInvalid,
        UnderWay,
        Unworkable,
    )
    from billfold.consents.security_events import SecurityEvent, SecurityEvents

__all__ = [
    "AnswerNotSigned",
    "AsyncEntries",
    "AsyncThirdParty",
    "BankAway",
    "BankUnsure",
    "Busy",
    "Contradicted",
    "Customer",
    "Entries",
    "Forbidden",
    "Limit",
    "NotAuthenticated",
    "NotOffered",
    "OpenBankingRefusal",
    "PaymentUnfinished",
    "RequestRefused",
    "SecurityEvent",
    "SecurityEventInvalid",
    "SecurityEvents",
    "ThirdParty",
    "UnderWay",
    "Unworkable",
    "account",
    "amount",
    "control_parameters",
    "domestic_payment",
    "instruction",
    "recurring_payments",
    "risk",
]

_HOMES = {
    "AsyncEntries": "_async.pages",
    "AsyncThirdParty": "_async.third_party",
    "Customer": "asking",
    "Entries": "_sync.pages",
    "SecurityEvent": "security_events",
    "SecurityEvents": "security_events",
    "ThirdParty": "_sync.third_party",
    **dict.fromkeys(
        (
            "Limit",
            "account",
            "amount",
            "control_parameters",
            "domestic_payment",
            "instruction",
            "recurring_payments",
            "risk",
        ),
        "orders",
    ),
}

__getattr__, __dir__ = lazy(globals(), {name: f"billfold.consents.{_HOMES.get(name, 'refusals')}" for name in __all__})
