"""Test your own program with Billfold: a tenant of its own for each test, in milliseconds.

It is a pytest plugin, which is there once ``billfold[server,postgres]`` is installed::

    def test_checkout(wallet_sandbox):
        ada = wallet_sandbox.wallet(holding=("50.00", "EUR"))
        shop = wallet_sandbox.wallet(wallet_sandbox.company())
        checkout(wallet_sandbox.client, payer=ada.id, payee=shop.id, price=("12.50", "EUR"))
        assert wallet_sandbox.balance(shop) == Money(1250, "EUR")
        assert [event.object_id for event in wallet_sandbox.events("transfer.posted")]

``async_wallet_sandbox`` is the same for asyncio, in the same tenant. ``wallet_sandboxes`` makes sandboxes for fixtures
of another scope. The platform runs in a thread of the test's own process, on a real PostgreSQL; nothing of it is left
after the run.
"""

from typing import TYPE_CHECKING

from billfold._lazy import lazy

if TYPE_CHECKING:
    from billfold.testing._async.sandbox import AsyncSandbox, AsyncTestClock
    from billfold.testing._sync.sandbox import Sandbox, TestClock
    from billfold.testing.sandboxes import Sandboxes, open_sandboxes

__all__ = ["AsyncSandbox", "AsyncTestClock", "Sandbox", "Sandboxes", "TestClock", "open_sandboxes"]

__getattr__, __dir__ = lazy(
    globals(),
    {
        "AsyncSandbox": "billfold.testing._async.sandbox",
        "AsyncTestClock": "billfold.testing._async.sandbox",
        "Sandbox": "billfold.testing._sync.sandbox",
        "Sandboxes": "billfold.testing.sandboxes",
        "TestClock": "billfold.testing._sync.sandbox",
        "open_sandboxes": "billfold.testing.sandboxes",
    },
)
