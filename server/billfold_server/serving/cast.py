"""Who is in a sandbox, and what life costs them: all of it follows from the sandbox's seed.

Each fact is drawn under a name of its own, so that one more changes none of the others, by a digest, so that it is the
same on every machine and in every version of Python. Seed 0 is those whom the documentation names.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec
from stdnum import iban

from billfold.contract.parties import PartyKind
from billfold_server.sandbox.seeding import DEFAULT_SEED

__all__ = ["DEFAULT_SEED", "Card", "Cast", "Customer", "Draw", "Outlet", "cast_of", "iban_of"]

T = TypeVar("T")


_BANK: Final = "BLFD"
_SORT_CODE: Final = "040004"


class Draw:
    """What a seed decides.

    Args:
        seed: From 0 to 2,147,483,647.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def number(self, name: str, below: int) -> int:
        """Return a number from nought on, for a name."""
        digest = hashlib.sha256(f"billfold sandbox {self.seed} {name}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % below

    def between(self, name: str, first: int, last: int, step: int = 1) -> int:
        """Return one of the numbers from the first to the last, so many apart."""
        return first + step * self.number(name, (last - first) // step + 1)

    def one(self, name: str, choices: Sequence[T]) -> T:
        """Return one of several."""
        return choices[self.number(name, len(choices))]

    def some(self, name: str, choices: Sequence[T], count: int) -> list[T]:
        """Return several different ones."""
        left = list(choices)
        return [left.pop(self.number(f"{name} {place}", len(left))) for place in range(count)]


class Card(msgspec.Struct, frozen=True):
    """A card that nobody has: one of the numbers that schemes and processors publish for tests.

    Attributes:
        brand: As the vault tells it.
        number: Which passes Luhn's check.
        lasts_years: In which year it expires, counted from this one.
    """

    brand: str
    number: str
    month: int
    lasts_years: int

    @property
    def last4(self) -> str:
        """Return what is shown of it."""
        return self.number[-4:]

    def __repr__(self) -> str:
        return f"Card({self.brand} {self.last4})"


class Customer(msgspec.Struct, frozen=True):
    """Somebody with wallets.

    Attributes:
        external_id: By which the party is found.
        wallets: The labels of their wallets, each with the account number by which it is known outside.
        cards: The labels of those that have cards, each with its card.
    """

    external_id: str
    kind: PartyKind
    name: str
    email: str
    wallets: dict[str, str]
    cards: dict[str, Card] = {}

    @property
    def login_name(self) -> str:
        """Return as whom they sign in."""
        return self.external_id.removeprefix("sandbox-")


class Outlet(msgspec.Struct, frozen=True):
    """Where people pay by card: the merchant category code of ISO 18245, and between which amounts."""

    name: str
    category: str
    least_minor: int
    most_minor: int


class Cast(msgspec.Struct, frozen=True, kw_only=True):
    """Everybody, and what life costs them.

    Attributes:
        saver: Who has two wallets, and everything that can be arranged.
        friend: Who has one.
        shop: Where both of them shop each week.
        wages_minor: What the two earn in a month.
        outlets: Where they pay by card.
    """

    seed: int
    saver: Customer
    friend: Customer
    shop: Customer
    shop_category: str
    employers: tuple[str, str]
    wages_minor: tuple[int, int]
    home: str
    landlord: str
    rent_minor: int
    utility: str
    utility_minor: int
    saved_minor: int
    relative: str
    outlets: tuple[Outlet, ...]

    @property
    def customers(self) -> tuple[Customer, ...]:
        """Return everybody, in the order in which they came."""
        return self.saver, self.friend, self.shop


_NUMBERS: Final = (
    ("visa", "4111111111111111"),
    ("visa", "4242424242424242"),
    ("visa", "4012888888881881"),
    ("visa", "4000056655665556"),
    ("mastercard", "5555555555554444"),
    ("mastercard", "5105105105105100"),
    ("mastercard", "2223003122003222"),
    ("mastercard", "5200828282828210"),
    ("amex", "378282246310005"),
    ("amex", "371449635398431"),
)
"""What processors publish for tests; no scheme gives them to anybody."""

_OUTLETS: Final = (
    Outlet("Blue Door Coffee", "5814", 280, 690),
    Outlet("Metro Line", "4111", 240, 980),
    Outlet("Paper Moon Books", "5942", 799, 2_999),
    Outlet("Night Owl Cinema", "7832", 950, 2_400),
    Outlet("Little Harbour Kitchen", "5812", 1_450, 4_200),
    Outlet("Old Mill Bakery", "5462", 310, 1_150),
    Outlet("Thistle Pharmacy", "5912", 420, 2_350),
    Outlet("Copper Kettle Hardware", "5251", 640, 3_900),
    Outlet("Fern and Clay Flowers", "5992", 900, 3_200),
    Outlet("Northern Rail Tickets", "4112", 1_150, 4_400),
)
_FIRST: Final = (
    *("Amara", "Bruno", "Clara", "Dilan", "Edith", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kiran", "Lena"),
    *("Mateo", "Nora", "Oskar", "Priya", "Quentin", "Rosa", "Samir", "Thea", "Umar", "Vera", "Wanda", "Yusuf"),
)
_LAST: Final = (
    *("Ashdown", "Berger", "Castell", "Dahl", "Everhart", "Fenwick", "Galloway", "Hartmann", "Ibarra", "Jansen"),
    *("Kowal", "Lindqvist", "Marlowe", "Novak", "Okafor", "Pereira", "Quill", "Rahman", "Sandoval", "Thorne"),
)
_SHOPS: Final = (
    ("Hillside Grocers Ltd", "5411"),
    ("Market Lane Foods Ltd", "5411"),
    ("The Larder Ltd", "5499"),
    ("Riverside Butchers Ltd", "5422"),
    ("Green Basket Ltd", "5411"),
    ("Station Street Stores Ltd", "5331"),
)
_EMPLOYERS: Final = (
    *("City Library", "Harbour Authority", "Northgate School", "Foundry Theatre", "Beacon Hospital"),
    *("Tramway Works", "Orchard Studios", "Lighthouse Software", "Weather Office", "Garden Trust"),
)
_STREETS: Final = ("Lime Street", "Mill Lane", "Abbey Road", "Queen's Terrace", "Canal Walk", "Church Row", "Elm Grove")
_LANDLORDS: Final = ("Elmwood Lettings", "Parkside Homes", "Three Bridges Property", "Northstar Lettings")
_UTILITIES: Final = ("City Energy", "Northern Power", "Clear Water", "Beacon Gas")


def cast_of(seed: int) -> Cast:
    """Return everybody who is in the sandbox of a seed."""
    draw = Draw(seed)
    cards = [
        Card(brand, number, draw.between(f"month {place}", 1, 12), draw.between(f"years {place}", 2, 4))
        for place, (brand, number) in enumerate(draw.some("cards", _NUMBERS, 2))
    ]
    outlets = tuple(draw.some("outlets", _OUTLETS, 5))
    return _known(cards, outlets) if seed == DEFAULT_SEED else _drawn(draw, cards, outlets)


def _known(cards: Sequence[Card], outlets: tuple[Outlet, ...]) -> Cast:
    return Cast(
        seed=DEFAULT_SEED,
        saver=Customer(
            "sandbox-caroline",
            PartyKind.PERSON,
            "Caroline Herschel",
            "caroline@customers.example",
            {"Everyday": "10000001", "Savings": "10000002"},
            {"Everyday": cards[0]},
        ),
        friend=Customer(
            "sandbox-emmy",
            PartyKind.PERSON,
            "Emmy Noether",
            "emmy@customers.example",
            {"Everyday": "10000003"},
            {"Everyday": cards[1]},
        ),
        shop=Customer(
            "sandbox-shop", PartyKind.COMPANY, "Corner Shop Ltd", "shop@customers.example", {"Till": "10000004"}
        ),
        shop_category="5411",
        employers=("Royal Observatory", "University"),
        wages_minor=(245_000, 180_000),
        home="12 St James's Square",
        landlord="St James Lettings",
        rent_minor=85_000,
        utility="City Energy",
        utility_minor=5_840,
        saved_minor=20_000,
        relative="Mary Somerville",
        outlets=outlets,
    )


def _drawn(draw: Draw, cards: Sequence[Card], outlets: tuple[Outlet, ...]) -> Cast:
    first = 20_000_000 + 10 * draw.number("numbers", 7_000_000)
    names = list(zip(draw.some("first names", _FIRST, 2), draw.some("last names", _LAST, 3), strict=False))
    family = draw.some("last names", _LAST, 3)[2]
    saver, friend = (
        Customer(
            f"sandbox-{given.lower()}",
            PartyKind.PERSON,
            f"{given} {name}",
            f"{given.lower()}@customers.example",
            {label: str(first + place + 1) for place, label in wallets},
            {"Everyday": card},
        )
        for (given, name), card, wallets in zip(
            names, cards, (((0, "Everyday"), (1, "Savings")), ((2, "Everyday"),)), strict=True
        )
    )
    shop, category = draw.one("shop", _SHOPS)
    employers = draw.some("employers", _EMPLOYERS, 2)
    wages = (draw.between("wages", 200_000, 420_000, 500), draw.between("other wages", 180_000, 320_000, 500))
    return Cast(
        seed=draw.seed,
        saver=saver,
        friend=friend,
        shop=Customer("sandbox-shop", PartyKind.COMPANY, shop, "shop@customers.example", {"Till": str(first + 4)}),
        shop_category=category,
        employers=(employers[0], employers[1]),
        wages_minor=wages,
        home=f"{draw.between('house', 1, 148)} {draw.one('street', _STREETS)}",
        landlord=draw.one("landlord", _LANDLORDS),
        rent_minor=wages[0] * draw.between("rent", 28, 36) // 10_000 * 100,
        utility=draw.one("utility", _UTILITIES),
        utility_minor=draw.between("utility amount", 3_800, 8_900, 10),
        saved_minor=wages[0] * draw.between("saved", 4, 12) // 10_000 * 100,
        relative=f"{draw.one('relative', _FIRST)} {family}",
        outlets=outlets,
    )


def iban_of(number: str) -> str:
    """Return the British IBAN of one of the sandbox's account numbers."""
    rest = f"{_BANK}{_SORT_CODE}{number}"
    return f"GB{iban.calc_check_digits(f'GB00{rest}')}{rest}"
