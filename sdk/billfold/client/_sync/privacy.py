# Generated from billfold/client/_async/privacy.py by tests/sdk/generate_sync.py. Change that one instead.

"""Privacy: what is kept of people and where, what is known of one of them, and forgetting them."""

from billfold.client import _operations as operations
from billfold.client._sync.resource import Resource
from billfold.contract.privacy import DataInventory

__all__ = ["Privacy"]


class Privacy(Resource):
    """Personal data: ``billfold.privacy``."""

    __slots__ = ()

    def inventory(self) -> DataInventory:
        """Return where personal and card data lies, under which keys, for how long, and how much of it there is."""
        return self._ask(operations.GET_DATA_INVENTORY)
