"""The shop's tests: `pytest` in this folder runs them, with `billfold[server,postgres]` and pytest installed.

Each test has a Billfold tenant of its own, on a real ledger, and there is no server to start before.
"""

from collections.abc import Iterator

import pytest
import shop

from billfold import Money
from billfold.testing import AsyncSandbox, Sandbox, Sandboxes

PRICE = Money(1250, "EUR")


def test_checkout(wallet_sandbox: Sandbox) -> None:
    """Check that the customer pays the price, and the till has it."""
    ada = wallet_sandbox.wallet(holding=("50.00", "EUR"))
    till = wallet_sandbox.wallet(wallet_sandbox.company("Analytical Engines Ltd"))
    shop.buy(wallet_sandbox.client, order="4711", payer=ada.id, till=till.id, price=PRICE)
    assert wallet_sandbox.balance(ada) == Money(3750, "EUR")
    assert wallet_sandbox.balance(till) == PRICE


def test_button_pressed_twice(wallet_sandbox: Sandbox) -> None:
    """Check that an order is paid once, however often it comes."""
    ada, till = wallet_sandbox.wallet(holding=("50.00", "EUR")), wallet_sandbox.wallet()
    first, second = (
        shop.buy(wallet_sandbox.client, order="4711", payer=ada.id, till=till.id, price=PRICE) for _ in range(2)
    )
    assert first == second
    assert len(wallet_sandbox.events("transfer.posted")) == 1


def test_not_enough_money(wallet_sandbox: Sandbox) -> None:
    """Check that a customer with 10 euros is told to bring 2.50."""
    ada, till = wallet_sandbox.wallet(holding=("10.00", "EUR")), wallet_sandbox.wallet()
    with pytest.raises(shop.CannotPay) as caught:
        shop.buy(wallet_sandbox.client, order="4711", payer=ada.id, till=till.id, price=PRICE)
    assert caught.value.missing == Money(250, "EUR")


def test_basket_is_kept_for_half_an_hour(wallet_sandbox: Sandbox) -> None:
    """Check that what is reserved comes back by itself: the test's clock moves as far as it takes."""
    ada, till = wallet_sandbox.wallet(holding=("50.00", "EUR")), wallet_sandbox.wallet()
    wallet_sandbox.clock.freeze()
    shop.reserve(wallet_sandbox.client, payer=ada.id, till=till.id, price=PRICE)
    assert wallet_sandbox.balance(ada) == Money(3750, "EUR")
    wallet_sandbox.clock.advance(minutes=31)
    assert wallet_sandbox.balance(ada) == Money(5000, "EUR")
    assert [event.type for event in wallet_sandbox.events()][-1] == "hold.expired"


@pytest.mark.anyio
async def test_refunds_go_out_at_once(async_wallet_sandbox: AsyncSandbox) -> None:
    """Check that three orders are refunded together."""
    ada, till = await async_wallet_sandbox.wallet(holding=("50.00", "EUR")), await async_wallet_sandbox.wallet()
    paid = [await async_wallet_sandbox.transfer(("5.00", "EUR"), source=ada, target=till) for _ in range(3)]
    await shop.refund(async_wallet_sandbox.client, [each.id for each in paid])
    assert await async_wallet_sandbox.balance(ada) == Money(5000, "EUR")


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests in asyncio, which is what the SDK speaks; pytest-asyncio does as well."""
    return "asyncio"


@pytest.fixture(scope="module")
def season(wallet_sandboxes: Sandboxes) -> Iterator[tuple[Sandbox, str]]:
    """Keep a sandbox with a till for several tests, each of which adds to what is there."""
    with wallet_sandboxes.fresh() as sandbox:
        yield sandbox, sandbox.wallet().id


@pytest.mark.parametrize("day", [1, 2, 3])
def test_season_adds_up(season: tuple[Sandbox, str], day: int) -> None:
    """Check that each day adds to what the days before have brought."""
    sandbox, till = season
    ada = sandbox.wallet(holding=("50.00", "EUR"))
    before = sandbox.balance(till, "EUR").amount_minor
    shop.buy(sandbox.client, order=str(day), payer=ada.id, till=till, price=PRICE)
    assert sandbox.balance(till) == Money(before + PRICE.amount_minor, "EUR")
