"""Privacy: what is kept of people and where, what is known of one of them, and forgetting them."""

from billfold.client import _operations as operations
from billfold.client._async.resource import AsyncResource
from billfold.contract.privacy import DataInventory

__all__ = ["AsyncPrivacy"]


class AsyncPrivacy(AsyncResource):
    """Personal data: ``billfold.privacy``."""

    __slots__ = ()

    async def inventory(self) -> DataInventory:
        """Return where personal and card data lies, under which keys, for how long, and how much of it there is."""
        return await self._ask(operations.GET_DATA_INVENTORY)
