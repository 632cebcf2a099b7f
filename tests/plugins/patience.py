"""Give examples of properties, and answers, as long as they take: a busy machine says nothing of the code.

Hypothesis stops at an example of 200 ms, which one that waits for a processor may well take. In CI it has no such limit
by itself, and takes the same examples each time. And httpx gives up on an answer after five seconds where nobody says
how long it may take; the product always does.

A server answers within two seconds where its keys are away, and takes a machine that stands still for as long for that.
So servers in the tests' own process wait longer for their key store and their decryptor, unless a test says how long,
and for their database when they are asked how they are; and signers do for Vault.
"""

from typing import Final

from httpx._config import DEFAULT_TIMEOUT_CONFIG
from hypothesis import settings

from billfold.keys import VaultTransitKey
from billfold_server.decryptor.client import Client
from billfold_server.http import health
from billfold_server.keys.store import KeyStore

_ANSWER_S: Final = 60.0
_KEYS_S: Final = 20.0

if settings.default is not None and settings.default.deadline is not None:
    settings.register_profile("patient", settings.default, deadline=None)
    settings.load_profile("patient")

for phase in ("connect", "read", "write", "pool"):
    setattr(DEFAULT_TIMEOUT_CONFIG, phase, _ANSWER_S)

health._PATIENCE_S = _KEYS_S  # type: ignore[misc]

for asked, patience in ((KeyStore, "timeout_s"), (Client, "patience_s"), (VaultTransitKey, "timeout_s")):
    defaults = asked.__init__.__kwdefaults__
    assert defaults is not None
    assert patience in defaults
    defaults[patience] = _KEYS_S
