"""An engine with a few wallets, on a database of the test's own."""

from tests.server.ledger.conftest import bench

__all__ = ["bench"]
