"""Verifies signatures by joserfc, which shares no code with what signs."""

from typing import Any

from joserfc import jwk, jws


def verifies(public: dict[str, Any], data: bytes, signature: bytes) -> bool:
    """Tell whether a signature is a public key's, in the form of JOSE."""
    algorithm = jws.JWSRegistry.algorithms[public["alg"]]
    return bool(algorithm.verify(data, signature, jwk.import_key(dict(public))))
