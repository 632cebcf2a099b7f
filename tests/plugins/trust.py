"""Read the list of public authorities once: httpx reads it anew for each client, which takes longer than most requests.

Clients that say by themselves whom they trust, or show a certificate, get a context of their own as ever.
"""

import functools
import os
import ssl
from typing import Any

import httpx._config
import httpx._transports.default as transports

_make = httpx._config.create_ssl_context


@functools.cache
def _public(*named: str | None, trust_env: bool) -> ssl.SSLContext:  # noqa: ARG001 - other files are other contexts
    return _make(verify=True, cert=None, trust_env=trust_env)


def _context(**asked: Any) -> ssl.SSLContext:
    if asked["verify"] is True and asked["cert"] is None:
        named = (os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
        return _public(*named, trust_env=asked["trust_env"])
    return _make(**asked)


transports.create_ssl_context = _context  # type: ignore[assignment, attr-defined]
