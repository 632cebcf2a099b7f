"""How long the product waits in tests; Python reads this before all else in a process whose path has this folder.

A server answers within two seconds where its keys are away, and takes a machine that stands still for as long for that.
So does a command that wants a key, and a transaction that waits for another one's rows. A test that isn't about such a
wait has nothing to say of it. Each module is changed as it is loaded, and none is loaded for that: a process begins as
fast as it does for everybody, and is the product's own in all else.
"""

import importlib.machinery
import operator
import os
import sys
import types
from collections.abc import Sequence
from typing import Any, Final

__all__ = ["LONGER", "PATH", "lengthen"]

_OWN_S: Final = 20.0
_LOCK_MS: Final = 8_000
"""Less than the time after which a connection that ends a transaction is given up."""

LONGER: Final[dict[str, dict[str, float]]] = {
    "billfold.keys.vault": {"VaultTransitKey.__init__ timeout_s": _OWN_S},
    "billfold_server.connectors.simulator.client": {"SimulatedRail.__init__ patience_s": _OWN_S},
    "billfold_server.decryptor.client": {"Client.__init__ patience_s": _OWN_S},
    "billfold_server.http.health": {"_PATIENCE_S": _OWN_S},
    "billfold_server.keys.backends.vault.backend": {"VaultBackend.__init__ patience_s": _OWN_S},
    "billfold_server.keys.store": {"KeyStore.__init__ timeout_s": _OWN_S},
    "billfold_server.tenancy.transaction": {
        f"Database.{opening} lock_timeout_ms": _LOCK_MS for opening in ("tx", "platform_tx", "run")
    },
}
"""By module the waits that are longer: constants of its own, and what functions do who aren't told."""

PATH: Final = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - Nothing is loaded for this.
"""The folder that a process needs first on its path."""


def lengthen(module: types.ModuleType) -> None:
    """Let a module that has been loaded wait for longer."""
    for name, longer in LONGER[module.__name__].items():
        function, _, argument = name.partition(" ")
        if argument:
            defaults: dict[str, Any] = operator.attrgetter(f"{function}.__kwdefaults__")(module)
            assert argument in defaults, name
            defaults[argument] = longer
        else:
            assert hasattr(module, name), name
            setattr(module, name, longer)


class _Finder:
    """Finds these modules as they are, and has each of them lengthened once it is loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return what the usual way finds."""
        if fullname not in LONGER:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_lengthen(module: types.ModuleType) -> None:
                load(module)
                lengthen(module)

            spec.loader.exec_module = load_and_lengthen  # type: ignore[method-assign]
        return spec


if __name__ == "sitecustomize":
    sys.meta_path.insert(0, _Finder())
