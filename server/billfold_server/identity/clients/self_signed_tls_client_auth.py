"""Clients that show a certificate of their own making, whose key they have registered (RFC 8705, section 2.2).

Nobody vouches for what such a certificate says; only its key counts, which TLS has proven that the client holds. Where
the client has registered the certificate itself (``x5c``), it must be that one.
"""

from collections.abc import Mapping
from typing import Any

from cryptography import x509

from billfold_server.identity import jose
from billfold_server.identity.clients.keys import certificate_in
from billfold_server.identity.clients.rows import Client

__all__ = ["matches"]


def matches(certificate: x509.Certificate, client: Client | None) -> bool:
    """Tell whether a certificate is of a key that a client has registered.

    Args:
        certificate: What the client has shown.
        client: The client, where there is one.
    """
    keys = [] if client is None or client.jwks is None else client.jwks["keys"]
    return any(_is_of(certificate, key) for key in keys if key.get("use", "sig") == "sig")


def _is_of(certificate: x509.Certificate, key: Mapping[str, Any]) -> bool:
    if "x5c" in key:
        return certificate_in(key) == certificate
    return bool(jose.import_key(key).public_key == certificate.public_key())
