"""When a payment needs no strong customer authentication, and why (RTS on SCA, articles 13, 14, 16 and 18).

Nothing is exempt unless the tenant's manifest says so, and a reason is given each time, which is recorded. Pure.
"""

from typing import Final, Literal

import msgspec

from billfold_server.tenancy.manifest import Sca

__all__ = ["Exemption", "History", "Linked", "exemption_for"]

Kind = Literal["low_value", "trusted_beneficiary", "recurring"]
PAYMENTS: Final = frozenset({"payment", "recurring_payment"})
RECURRING: Final = "recurring_payment"


class Linked(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody agrees to, and what their authentication is linked to (article 5).

    Attributes:
        kind: ``payment``, ``recurring_payment``, ``trusted_beneficiary``, or what a room needs agreement for.
        object_id: What it is about, as wire id.
        amount_minor: The amount that the payer is shown, where there is one.
        currency: Its currency.
        payee: To whom, as the payer is shown it: a name, and an account where there is one.
        payee_account: The account that gets it, in its one normal form, such as an IBAN without spaces or a wallet's
            id. By it a payee is known again: what is shown is a text that anybody can choose.
        terms: What else the payer is shown and agrees to, such as limits, each as label and value, in the words of the
            page.
    """

    kind: str
    object_id: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    payee: str | None = None
    payee_account: str | None = None
    terms: tuple[tuple[str, str], ...] = ()


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What matters of the payer's past.

    Attributes:
        exempted: How many payments were exempt for their low value since the last authentication.
        exempted_minor: Their sum in this currency.
        payee_is_trusted: Whether the payer has put the payee on the list of trusted beneficiaries, by SCA.
        series_is_known: Whether the payer has authenticated a payment of the same series: same amount and payee.
    """

    exempted: int = 0
    exempted_minor: int = 0
    payee_is_trusted: bool = False
    series_is_known: bool = False


class Exemption(msgspec.Struct, frozen=True):
    """That no authentication is needed, and why."""

    kind: Kind
    reason: str


def exemption_for(policy: Sca, action: Linked, history: History) -> Exemption | None:
    """Return why an action needs no SCA, or None where it does.

    Args:
        policy: What the tenant's manifest exempts.
        action: What is to be done.
        history: What was done before.
    """
    if action.kind not in PAYMENTS or action.amount_minor is None or action.currency is None or action.payee is None:
        return None
    if policy.trusted_beneficiaries and history.payee_is_trusted:
        return Exemption("trusted_beneficiary", "article 13: the payer trusts the payee")
    if policy.recurring and action.kind == RECURRING and history.series_is_known:
        return Exemption("recurring", "article 14: same amount and payee as authenticated before")
    most, total = policy.low_value_max_minor.get(action.currency), policy.low_value_total_minor.get(action.currency)
    if most is None or total is None or action.amount_minor > most:
        return None
    if history.exempted + 1 > policy.low_value_count or history.exempted_minor + action.amount_minor > total:
        return None
    return Exemption("low_value", f"article 16: payment {history.exempted + 1} since the last authentication")
