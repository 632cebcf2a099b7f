"""Passwords of database logins, derived from the deployment's secret.

Every worker can compute them, so none is stored or handed around, and PostgreSQL only ever sees a SCRAM verifier.
"""

import base64
import hashlib
import hmac
import secrets

__all__ = ["fingerprint", "password", "scram_verifier"]

# The password has 256 random bits, so no number of iterations makes guessing it harder; PostgreSQL's default is kept
# for tools that look at the number.
_ITERATIONS = 4096


def password(secret: bytes, login: str) -> str:
    """Return the password of a login role: HMAC-SHA-256 of its name, in URL-safe base 64."""
    digest = hmac.digest(secret, b"billfold database login\0" + login.encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def fingerprint(secret: bytes) -> str:
    """Return a text by which a changed secret is noticed, and from which nothing can be learned."""
    return hmac.digest(secret, b"billfold database secret", "sha256").hex()


def scram_verifier(plain: str) -> str:
    """Return what PostgreSQL stores for a password (RFC 5803), so that the password itself never reaches its logs."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", plain.encode(), salt, _ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return "SCRAM-SHA-256${}:{}${}:{}".format(_ITERATIONS, *parts)
