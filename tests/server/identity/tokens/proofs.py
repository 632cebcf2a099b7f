"""Makes DPoP proofs, right ones and wrong ones."""

import base64
import hashlib
import json
import secrets
import time
import warnings
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

__all__ = ["ALGORITHMS", "REGISTRY", "Prover", "ath_of", "segment"]

ALGORITHMS = ["ES256", "PS256", "EdDSA", "Ed25519", "RS256", "HS256"]
REGISTRY = jws.JWSRegistry(strict_check_header=False, algorithms=ALGORITHMS)
REGISTRY.max_header_length = 8192


class Prover:
    """A client's key, and the proofs that it signs."""

    def __init__(self, alg: str = "ES256") -> None:
        self.alg = alg
        self.key: Any = _new_key(alg)
        self.jkt: str = self.key.thumbprint()
        self.nonce: str | None = None

    def proof(self, method: str, url: str, *, token: str | None = None, header: Any = None, **claims: Any) -> str:
        """Return a proof; a claim or header that is given as None is left out."""
        said = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": url,
            "iat": int(time.time()),
            "nonce": self.nonce,
            "ath": None if token is None else ath_of(token),
            **claims,
        }
        head = {"typ": "dpop+jwt", "alg": self.alg, "jwk": self.key.as_dict(private=False), **(header or {})}
        payload = json.dumps({name: value for name, value in said.items() if value is not None})
        head = {name: value for name, value in head.items() if value is not None}
        with warnings.catch_warnings(action="ignore"):
            # The library warns of EdDSA's older name, which clients use all the same.
            return jws.serialize_compact(head, payload, self.key, registry=REGISTRY)


def _new_key(alg: str) -> Any:
    if alg == "ES256":
        return ECKey.generate_key("P-256")
    return OKPKey.generate_key("Ed25519") if alg in {"EdDSA", "Ed25519"} else RSAKey.generate_key(2048)


def ath_of(token: str) -> str:
    """Return the ``ath`` of an access token."""
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()


def segment(value: Any) -> str:
    """Return a segment of a JWS."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
