"""How long those wait who come at the same time, told from how long the product lets them."""

import pytest

from billfold_server.tenancy.transaction import Database

__all__ = ["patient_locks", "wait_for_locks"]


def wait_for_locks(monkeypatch: pytest.MonkeyPatch, *, ms: int) -> None:
    """Let transactions that say nothing else wait so long for a lock."""
    for opening in (Database.tx, Database.platform_tx, Database.run):
        defaults = opening.__kwdefaults__
        assert defaults is not None
        assert "lock_timeout_ms" in defaults
        monkeypatch.setitem(defaults, "lock_timeout_ms", ms)


@pytest.fixture
def patient_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let who waits for another one's lock wait for longer than the product does, which gives up after two seconds.

    Whoever holds it may stand still for as long on a busy machine. It is less than the time after which a connection
    that ends a transaction is given up.
    """
    wait_for_locks(monkeypatch, ms=8_000)
