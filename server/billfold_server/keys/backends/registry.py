"""The backends that a deployment has: one for what is new, and any others from which it is still moving."""

from collections.abc import Mapping

from billfold import errors
from billfold_server.keys.backends import Backend, BackendName

__all__ = ["Backends"]


class Backends:
    """The backends of a deployment.

    Args:
        current: The one that wraps new epochs.
        others: Those that still unwrap old ones.
    """

    def __init__(self, current: Backend, *others: Backend) -> None:
        self.current = current
        self._by_name: Mapping[str, Backend] = {each.name: each for each in (*others, current)}

    def named(self, name: str) -> Backend:
        """Return a backend by its name in the key store.

        Raises:
            errors.KeysUnavailable: This deployment isn't told how to reach it.
        """
        try:
            return self._by_name[name]
        except KeyError:
            msg = "the keys are not available at the moment"
            raise errors.KeysUnavailable(msg, reason="not_configured", retry_after_s=60) from None

    def names(self) -> list[BackendName]:
        """Return the names of those that are configured."""
        return [each.name for each in self._by_name.values()]

    async def close(self) -> None:
        """Close them all."""
        for each in self._by_name.values():
            await each.close()
