"""Tokens that are bound to the client's TLS certificate (RFC 8705, section 3)."""

import base64
import functools
import hashlib
import hmac

__all__ = ["is_bound_to", "thumbprint"]


# A connection shows the same one with each of its requests.
@functools.lru_cache(maxsize=1024)
def thumbprint(certificate: bytes) -> str:
    """Return the ``x5t#S256`` of a certificate: SHA-256 of its DER, base64url without padding (section 3.1)."""
    return base64.urlsafe_b64encode(hashlib.sha256(certificate).digest()).rstrip(b"=").decode()


def is_bound_to(x5t: str, certificate: bytes | None) -> bool:
    """Tell whether a token is bound to the certificate that the connection has shown; without one it isn't.

    Args:
        x5t: The token's ``cnf`` member ``x5t#S256``.
        certificate: The client's certificate as DER.
    """
    return certificate is not None and hmac.compare_digest(x5t.encode(), thumbprint(certificate).encode())
