"""How long those wait who come at the same time, where a test is about how long the product lets them."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from billfold_server.tenancy.transaction import LOCK_TIMEOUT_MS, Database

__all__ = ["WAITING", "product_locks"]


def _defaults_of(opening: Callable[..., Any]) -> dict[str, Any]:
    defaults: dict[str, Any] = getattr(opening, "__kwdefaults__")  # noqa: B009 - A Callable isn't said to have it.
    assert "lock_timeout_ms" in defaults
    return defaults


WAITING: Final = [_defaults_of(opening) for opening in (Database.tx, Database.platform_tx, Database.run)]
"""What transactions do that say nothing else; ``lock_timeout_ms`` among it."""


@pytest.fixture
def product_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let who waits for another one's lock wait as long as the product does, which gives up after two seconds.

    In other tests they wait for longer (``tests.plugins.patience``).
    """
    for defaults in WAITING:
        monkeypatch.setitem(defaults, "lock_timeout_ms", LOCK_TIMEOUT_MS)
