"""What has happened to a sandbox's customers until today, and what they have arranged. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from billfold.contract.arrangements import (
    AccountScheme,
    Beneficiary,
    CounterpartyAccount,
    DirectDebit,
    Frequency,
    MandateClass,
    Offer,
    OfferType,
    PlannedPayment,
    ScheduledPayment,
    StandingOrder,
)
from billfold.contract.wallets import CreateTopUp, CreateTransfer, CreateWithdrawal
from billfold.money import Money
from billfold_server.arrangements.service import Terms
from billfold_server.ledger.service import Kind
from billfold_server.serving.cast import Card, Cast, Customer, Draw
from billfold_server.wallets import kinds

__all__ = ["GBP", "Order", "arranged", "months", "opened", "wallet_name"]

GBP: Final = "GBP"
_WEEKS: Final = 13
_CARD_DAYS: Final = 2.3
"""How many days are between two payments by one card, on average."""

Order = tuple[datetime, str, Kind[Any], Any]
"""When something took effect, the name of its key, and the command."""


def wallet_name(customer: Customer, label: str) -> str:
    """Return by what a wallet is found among all of them."""
    return f"{customer.external_id}/{label}"


class _Story:
    """What happens in the customers' wallets, each thing so many days ago."""

    def __init__(self, today: datetime) -> None:
        self.today = today
        self.orders: list[Order] = []

    def paid_in(self, days: float, name: str, wallet: str, minor: int, text: str) -> None:
        """Let money come in from outside."""
        at, amount = self.today - timedelta(days=days), Money(minor, GBP)
        body = CreateTopUp(wallet_id=wallet, amount=amount, description=text, effective_at=at)
        self.orders.append((at, name, kinds.TOP_UP, kinds.top_up(body)))

    def paid_out(self, days: float, name: str, wallet: str, minor: int, text: str, **metadata: str) -> None:
        """Let money go out."""
        at, amount = self.today - timedelta(days=days), Money(minor, GBP)
        body = CreateWithdrawal(wallet_id=wallet, amount=amount, description=text, effective_at=at, metadata=metadata)
        self.orders.append((at, name, kinds.WITHDRAW, kinds.withdrawal(body)))

    def moved(self, days: float, name: str, way: tuple[str, str], minor: int, text: str, **metadata: str) -> None:
        """Move money from one wallet to another."""
        at, amount = self.today - timedelta(days=days), Money(minor, GBP)
        body = CreateTransfer(
            from_wallet_id=way[0],
            to_wallet_id=way[1],
            amount=amount,
            description=text,
            effective_at=at,
            metadata=metadata,
        )
        self.orders.append((at, name, kinds.TRANSFER, kinds.transfer(body)))

    def paid_by_card(self, cast: Cast, wallet: str, card: Card, who: str) -> None:
        """Let a card be used every few days, at one of a few places."""
        draw = Draw(cast.seed)
        for time in range(int((_WEEKS * 7 - 4) / _CARD_DAYS)):
            name = f"card/{who}/{time}"
            days = 1.0 + time * _CARD_DAYS + draw.number(f"{name} time", 100) / 250
            outlet = draw.one(f"{name} outlet", cast.outlets)
            minor = draw.between(f"{name} amount", outlet.least_minor, outlet.most_minor)
            told = {"merchant_name": outlet.name, "merchant_category_code": outlet.category}
            self.paid_out(days, name, wallet, minor, outlet.name, card_brand=card.brand, card_last4=card.last4, **told)


def _today(now: datetime) -> datetime:
    today = now.replace(hour=9, minute=0, second=0, microsecond=0)
    return today if today <= now else today - timedelta(days=1)


def opened(now: datetime) -> datetime:
    """Return since when the customers have their wallets: before anything happens in them."""
    return _today(now) - timedelta(days=_WEEKS * 7)


def months(cast: Cast, wallets: Mapping[str, str], now: datetime) -> list[Order]:
    """Return what happens: wages and rent each month, the shop each week, cards every few days, something put by."""
    saver, savings = (wallets[wallet_name(cast.saver, label)] for label in ("Everyday", "Savings"))
    friend, shop = wallets[wallet_name(cast.friend, "Everyday")], wallets[wallet_name(cast.shop, "Till")]
    names = (cast.saver.login_name, cast.friend.login_name)
    story = _Story(_today(now))
    shopping = {"merchant_name": cast.shop.name.removesuffix(" Ltd"), "merchant_category_code": cast.shop_category}
    energy = {"merchant_name": cast.utility, "merchant_category_code": "4900"}
    for month, start in enumerate(range(_WEEKS * 7, 6, -30)):
        story.paid_in(start, f"wages/{month}", saver, cast.wages_minor[0], f"Wages {cast.employers[0]}")
        story.paid_in(start - 0.1, f"wages/friend/{month}", friend, cast.wages_minor[1], f"Wages {cast.employers[1]}")
        story.paid_out(start - 1, f"rent/{month}", saver, cast.rent_minor, f"Rent {cast.home}")
        minor = cast.utility_minor + month * 260
        story.paid_out(start - 3, f"power/{month}", saver, minor, f"{cast.utility} CE-4711", **energy)
        story.moved(start - 4, f"saved/{month}", (saver, savings), cast.saved_minor, "Put by")
    for week in range(_WEEKS):
        days = _WEEKS * 7 - 2 - week * 7
        text = "Groceries"
        story.moved(days, f"shop/{names[0]}/{week}", (saver, shop), 2_350 + week * 137 % 900, text, **shopping)
        story.moved(days - 0.2, f"shop/{names[1]}/{week}", (friend, shop), 1_890 + week * 211 % 700, text, **shopping)
    story.moved(20, "lunch", (friend, saver), 1_250, "Lunch")
    story.paid_by_card(cast, saver, cast.saver.cards["Everyday"], names[0])
    story.paid_by_card(cast, friend, cast.friend.cards["Everyday"], names[1])
    return sorted(story.orders, key=lambda order: order[0])


def arranged(cast: Cast, now: datetime) -> list[Terms]:
    """Return what the first customer has arranged."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    landlord = CounterpartyAccount(
        scheme=AccountScheme.SORT_CODE_ACCOUNT_NUMBER,
        identification="20201555779911",
        name=cast.landlord,
        bic="BUKBGB22",
    )
    relative = CounterpartyAccount(
        scheme=AccountScheme.IBAN, identification="GB33BUKB20201555555555", name=cast.relative
    )
    rent, last_utility = Money(cast.rent_minor, GBP), Money(cast.utility_minor + 2 * 260, GBP)
    return [
        Beneficiary(creditor=landlord, trusted=True, reference=cast.home),
        Beneficiary(creditor=relative, reference=cast.saver.name.partition(" ")[0]),
        DirectDebit(
            name=cast.utility,
            mandate_id="CE-4711",
            frequency=Frequency.MONTHLY,
            classification=MandateClass.VARIABLE,
            category_purpose="SUPP",
            previous_payment=PlannedPayment(at=today - timedelta(days=28), amount=last_utility),
            next_payment_at=today + timedelta(days=2),
        ),
        StandingOrder(
            creditor=landlord,
            frequency=Frequency.MONTHLY,
            point_in_time="01",
            mandate_id="SO-1",
            reference=cast.home,
            first_payment=PlannedPayment(at=today - timedelta(days=400), amount=rent),
            last_payment=PlannedPayment(at=today - timedelta(days=30), amount=rent),
            next_payment=PlannedPayment(at=today + timedelta(days=1), amount=rent),
        ),
        ScheduledPayment(
            scheduled_at=today + timedelta(days=21), amount=Money(4_000, GBP), creditor=relative, reference="Birthday"
        ),
        Offer(
            type=OfferType.PROMOTIONAL_RATE,
            description="Half a year of higher interest on what you put by",
            starts_at=today,
            ends_at=today + timedelta(days=90),
            rate="3.5",
            url="https://sandbox.example/offers/savings",
        ),
    ]
