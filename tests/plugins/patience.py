"""Give examples of properties, and answers, as long as they take: a busy machine says nothing of the code.

Hypothesis stops at an example of 200 ms, which one that waits for a processor may well take. In CI it has no such limit
by itself, and takes the same examples each time. And httpx gives up on an answer after five seconds where nobody says
how long it may take; the product always does.

A server answers within two seconds where its keys are away, and takes a machine that stands still for as long for that.
So servers in the tests' own process wait longer for their key store and their decryptor, unless a test says how long,
and for their database when they are asked how they are; and signers do for Vault. They wait longer as well for a
connection to their database, and for the simulated rail, which would have said nothing else; and for the locks of
others, who may stand still while they hold them, unless a test is about that (``product_locks``). Their decryptors are
processes of their own, which wait for the key store like them (``tests.patient_decryptor``).
"""

import os
from pathlib import Path
from typing import Any, Final

import msgspec
from httpx._config import DEFAULT_TIMEOUT_CONFIG
from hypothesis import settings

from billfold.keys import VaultTransitKey
from billfold_server.audit import trail_reading
from billfold_server.connectors.simulator.client import SimulatedRail
from billfold_server.db.pools import Pools, PoolSettings
from billfold_server.decryptor.client import Client
from billfold_server.http import health
from billfold_server.keys.store import KeyStore
from billfold_server.serving import on_demand
from billfold_server.serving.supervisor import DECRYPTOR, Supervisor
from tests.locks import WAITING

_ANSWER_S: Final = 60.0
_OWN_S: Final = 20.0
_LOCK_MS: Final = 8_000
"""Less than the time after which a connection that ends a transaction is given up."""
_USUAL: Final = PoolSettings()
_opening: Final = Pools.__init__
_ROOT: Final = str(Path(__file__).parents[2])


def _open(self: Pools, dsn: str, settings: PoolSettings | None = None) -> None:
    """Have pools wait for longer, but for what a test has said about them."""
    asked = settings or _USUAL
    waits = ("acquire_timeout_s", "connect_timeout_s")
    longer = {name: _OWN_S for name in waits if getattr(asked, name) == getattr(_USUAL, name)}
    _opening(self, dsn, msgspec.structs.replace(asked, **longer))


class _Supervisor(Supervisor):
    """Starts the decryptor that is patient in place of the product's."""

    def __init__(self, listeners: Any, processes: int, *, module: str) -> None:
        if module != DECRYPTOR:
            super().__init__(listeners, processes, module=module)
            return
        path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), _ROOT]))
        super().__init__(listeners, processes, module="tests.patient_decryptor", environment={"PYTHONPATH": path})


if settings.default is not None and settings.default.deadline is not None:
    settings.register_profile("patient", settings.default, deadline=None)
    settings.load_profile("patient")

for phase in ("connect", "read", "write", "pool"):
    setattr(DEFAULT_TIMEOUT_CONFIG, phase, _ANSWER_S)

Pools.__init__ = _open  # type: ignore[method-assign]
on_demand.Supervisor = _Supervisor  # type: ignore[attr-defined, assignment]
health._PATIENCE_S = _OWN_S  # type: ignore[misc]

for asked, patience in (
    (KeyStore, "timeout_s"),
    (Client, "patience_s"),
    (VaultTransitKey, "timeout_s"),
    (SimulatedRail, "patience_s"),
):
    defaults = asked.__init__.__kwdefaults__
    assert defaults is not None
    assert patience in defaults
    defaults[patience] = _OWN_S

for opening in WAITING:
    opening["lock_timeout_ms"] = _LOCK_MS
trail_reading.LOCK_TIMEOUT_MS = _LOCK_MS  # type: ignore[attr-defined]
