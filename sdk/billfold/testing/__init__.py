"""Test your own program with Billfold: a tenant of its own for each test, in milliseconds.

It is a pytest plugin, which is there once ``billfold[server,postgres]`` is installed::

    def test_checkout(wallet_sandbox):
        ada = wallet_sandbox.wallet(holding=("50.00", "EUR"))
        shop = wallet_sandbox.wallet(wallet_sandbox.company())
        checkout(wallet_sandbox.client, payer=ada.id, payee=shop.id, price=("12.50", "EUR"))
        assert wallet_sandbox.balance(shop) == Money(1250, "EUR")
        assert [event.object_id for event in wallet_sandbox.events("transfer.posted")]

What happens outside is simulated (``wallet_sandbox.simulate.incoming_transfer(…)``), and webhooks are received and
verified on this machine (``wallet_sandbox.webhooks.listen("transfer.*")``).

``async_wallet_sandbox`` is the same for asyncio, in the same tenant. ``wallet_sandboxes`` makes sandboxes for fixtures
of another scope. The platform runs in a thread of the test's own process, on a real PostgreSQL; nothing of it is left
after the run.
"""

from typing import TYPE_CHECKING

from billfold._lazy import lazy

if TYPE_CHECKING:
    from billfold.testing._async.sandbox import AsyncInbox, AsyncSandbox, AsyncTestClock
    from billfold.testing._sync.sandbox import Inbox, Sandbox, TestClock
    from billfold.testing.receiver import Delivered
    from billfold.testing.sandboxes import Sandboxes, open_sandboxes

__all__ = [
    "AsyncInbox",
    "AsyncSandbox",
    "AsyncTestClock",
    "Delivered",
    "Inbox",
    "Sandbox",
    "Sandboxes",
    "TestClock",
    "open_sandboxes",
]

__getattr__, __dir__ = lazy(
    globals(),
    {
        "AsyncInbox": "billfold.testing._async.sandbox",
        "Delivered": "billfold.testing.receiver",
        "Inbox": "billfold.testing._sync.sandbox",
        "AsyncSandbox": "billfold.testing._async.sandbox",
        "AsyncTestClock": "billfold.testing._async.sandbox",
        "Sandbox": "billfold.testing._sync.sandbox",
        "Sandboxes": "billfold.testing.sandboxes",
        "TestClock": "billfold.testing._sync.sandbox",
        "open_sandboxes": "billfold.testing.sandboxes",
    },
)
