"""Billfold: the SDK of a white-label wallet platform.

::

    from billfold import Billfold, Money

    billfold = Billfold(base_url="http://127.0.0.1:8000/t/sandbox", client_id="cli_…", client_secret="…")
    party = billfold.parties.create(kind="person", name="Ada Lovelace")
    wallet = billfold.wallets.create(party_id=party.id)
    billfold.top_ups.create(wallet_id=wallet.id, amount=Money(1250, "EUR"))

``AsyncBillfold`` is the same for asyncio. Errors are in ``billfold.errors``, models in ``billfold.contract``.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from billfold import errors
    from billfold.client._async.client import AsyncBillfold, AsyncBillfoldPlatform
    from billfold.client._async.resource import AsyncPages
    from billfold.client._async.transport import AsyncHttpxTransport
    from billfold.client._encoding import credit, debit, order
    from billfold.client._flow import Timeouts
    from billfold.client._message import AsyncTransport, Hooks, Request, Response, Transport
    from billfold.client._open import is_known
    from billfold.client._problems import as_error
    from billfold.client._sync.client import Billfold, BillfoldPlatform
    from billfold.client._sync.resource import Pages
    from billfold.client._sync.transport import HttpxTransport
    from billfold.money import Money

__all__ = [
    "AsyncBillfold",
    "AsyncBillfoldPlatform",
    "AsyncHttpxTransport",
    "AsyncPages",
    "AsyncTransport",
    "Billfold",
    "BillfoldPlatform",
    "Hooks",
    "HttpxTransport",
    "Money",
    "Pages",
    "Request",
    "Response",
    "Timeouts",
    "Transport",
    "as_error",
    "credit",
    "debit",
    "errors",
    "is_known",
    "order",
]

__version__ = "0.1.0.dev0"

_HOMES = {
    "AsyncBillfold": "billfold.client._async.client",
    "AsyncBillfoldPlatform": "billfold.client._async.client",
    "AsyncHttpxTransport": "billfold.client._async.transport",
    "AsyncPages": "billfold.client._async.resource",
    "AsyncTransport": "billfold.client._message",
    "Billfold": "billfold.client._sync.client",
    "BillfoldPlatform": "billfold.client._sync.client",
    "Hooks": "billfold.client._message",
    "HttpxTransport": "billfold.client._sync.transport",
    "Money": "billfold.money",
    "Pages": "billfold.client._sync.resource",
    "Request": "billfold.client._message",
    "Response": "billfold.client._message",
    "Timeouts": "billfold.client._flow",
    "Transport": "billfold.client._message",
    "as_error": "billfold.client._problems",
    "credit": "billfold.client._encoding",
    "debit": "billfold.client._encoding",
    "is_known": "billfold.client._open",
    "order": "billfold.client._encoding",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used.

    The server, which imports the contract and the primitives from here, never loads the client, and a program that
    uses one mode never loads the other.
    """
    import importlib  # noqa: PLC0415  # Needed once per name.

    if name == "errors":
        value: Any = importlib.import_module("billfold.errors")
    elif name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
