"""Give examples of properties, and answers, as long as they take: a busy machine says nothing of the code.

Hypothesis stops at an example of 200 ms, which one that waits for a processor may well take. In CI it has no such limit
by itself, and takes the same examples each time. And httpx gives up on an answer after five seconds where nobody says
how long it may take; the product always does.

The product waits for a second or two for keys, rows, Vault and its simulated rail, and would take a machine that stands
still for one where they are away. It waits for longer in the tests' own process and in those that it starts, unless a
test says how long or is about that (``tests.patient.sitecustomize``, ``product_locks``). It waits longer as well for a
connection to its database.
"""

import functools
import importlib
import os
from typing import Any, Final

import msgspec
from httpx._config import DEFAULT_TIMEOUT_CONFIG
from hypothesis import settings

from billfold_server.db.pools import Pools, PoolSettings
from billfold_server.serving.supervisor import WORKER, Worker
from tests.patient.sitecustomize import LONGER, PATH, lengthen

_ANSWER_S: Final = 60.0
_CONNECTION_S: Final = 20.0
_USUAL: Final = PoolSettings()
_opening: Final = Pools.__init__
_spawning: Final = Worker.spawn


def _open(self: Pools, dsn: str, settings: PoolSettings | None = None) -> None:
    """Have pools wait for longer, but for what a test has said about them."""
    asked = settings or _USUAL
    waits = ("acquire_timeout_s", "connect_timeout_s")
    longer = {name: _CONNECTION_S for name in waits if getattr(asked, name) == getattr(_USUAL, name)}
    _opening(self, dsn, msgspec.structs.replace(asked, **longer))


@functools.wraps(_spawning)
async def _spawn(listeners: Any, environment: dict[str, str], *, module: str = WORKER) -> Worker:
    """Let the processes of a server be as patient as this one."""
    path = os.pathsep.join(filter(None, [PATH, os.environ.get("PYTHONPATH")]))
    return await _spawning(listeners, environment | {"PYTHONPATH": path}, module=module)


if settings.default is not None and settings.default.deadline is not None:
    settings.register_profile("patient", settings.default, deadline=None)
    settings.load_profile("patient")

for phase in ("connect", "read", "write", "pool"):
    setattr(DEFAULT_TIMEOUT_CONFIG, phase, _ANSWER_S)

Pools.__init__ = _open  # type: ignore[method-assign]
Worker.spawn = _spawn  # type: ignore[method-assign]

for name in LONGER:
    lengthen(importlib.import_module(name))
