"""Who is in a sandbox and what has happened to them, of any seed."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from stdnum import luhn

from billfold import ids
from billfold.contract.wallets import AliasScheme
from billfold.ids import Prefix
from billfold_server.sandbox.rules import is_seeded, seeded_id
from billfold_server.serving.cast import Cast, cast_of, iban_of
from billfold_server.serving.story import Order, arranged, months, opened, wallet_name
from billfold_server.wallets.rules import new_alias

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SEEDS = (0, 1, 2, 7, 4711, 2**31 - 1, *range(100, 130))


def wallets_of(cast: Cast) -> dict[str, str]:
    """Return the wallets by their names, under ids that follow from the seed."""
    names = [wallet_name(each, label) for each in cast.customers for label in each.wallets]
    return {name: ids.encode(Prefix.WALLET, seeded_id(cast.seed, name, place)) for place, name in enumerate(names)}


def happened(seed: int) -> list[Order]:
    """Return what has happened until a day."""
    cast = cast_of(seed)
    return months(cast, wallets_of(cast), NOW)


def told(seed: int) -> Any:
    """Return all that follows from a seed on a day."""
    return cast_of(seed), [(at, name, body) for at, name, _, body in happened(seed)], arranged(cast_of(seed), NOW)


class TestASeed:
    def test_says_all(self):
        """The same one says the same each time, and of several each says something else."""
        assert told(7) == told(7)
        assert len({repr(told(seed)) for seed in SEEDS}) == len(SEEDS)

    def test_says_the_same_on_every_machine(self):
        """What it says doesn't change from one version to the next."""
        cast = cast_of(7)
        assert [each.name for each in cast.customers] == ["Umar Dahl", "Clara Ashdown", "Station Street Stores Ltd"]
        assert str(seeded_id(7, "party/sandbox-shop", 2)) == "016f5e66-e802-7000-ac00-18f377ebc3ff"


class TestASandbox:
    @pytest.mark.parametrize("hour", [0, 8, 9, 23])
    def test_has_wallets_before_anything_happens_in_them(self, hour: int):
        """They are no younger than the first thing that does, and not older than the day of it."""
        cast, now = cast_of(0), NOW.replace(hour=hour)
        first = months(cast, wallets_of(cast), now)[0][0]
        assert opened(now) <= first < opened(now) + timedelta(days=1)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_is_of_people_who_can_afford_their_lives(self, seed: int):
        """Nobody pays what they don't have, and each gets wages, shops, pays by card and puts something by."""
        balances: Counter[UUID] = Counter()
        for _, name, _, body in happened(seed):
            for wallet, sign in ((body.from_wallet_id, -1), (body.to_wallet_id, 1)):
                if wallet is not None:
                    balances[wallet] += sign * body.amount.amount_minor
                    assert balances[wallet] >= 0, name
        # One of them pays by card once more, in the moment.
        assert min(balances.values()) >= 2_495
        assert len(balances) == 4
        assert sum("card_last4" in body.metadata for *_, body in happened(seed)) > 50

    @pytest.mark.parametrize("seed", SEEDS)
    def test_has_numbers_that_are_right(self, seed: int):
        """Accounts have IBANs with their own check digits, each another one; cards pass Luhn's check."""
        customers = cast_of(seed).customers
        numbers = [iban_of(number) for each in customers for number in each.wallets.values()]
        assert [new_alias(AliasScheme.IBAN, each) for each in numbers] == numbers
        assert len(set(numbers)) == 4
        cards = [card for each in customers for card in each.cards.values()]
        assert all(luhn.is_valid(card.number) for card in cards)
        assert len({card.number for card in cards}) == 2
        assert cards[0].number not in repr(cards)
        assert len({each.login_name for each in customers}) == 3


class TestAnIdOfASeed:
    def test_is_known_as_such(self):
        """It differs by seed, name and place, lies before all others, and nothing else is taken for one."""
        made = [seeded_id(seed, name, place) for seed in (0, 1) for name in "ab" for place in (0, 999)]
        assert len(set(made)) == 8
        assert all(map(is_seeded, made))
        assert {each.version for each in made} == {7}
        assert not is_seeded(ids.uuid7())
        assert max(made) < ids.uuid7()
