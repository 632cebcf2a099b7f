"""Which public keys a client may register (RFC 7517; FAPI 2.0 Security Profile, section 5.4.1)."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from cryptography import x509

from billfold_server.identity import jose
from billfold_server.identity.profiles import SigningAlgorithm

__all__ = ["certificate_in", "check_jwks", "signing_keys"]

_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_LEAST_RSA_BITS: Final = 2048
_MOST_RSA_BITS: Final = 8192
_LEAST_EXPONENT: Final = 65_537
_MOST_KEYS: Final = 20
_LONGEST: Final = 32 * 1024
_LONGEST_KID: Final = 200


def check_jwks(jwks: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a JWK Set that a client wants to register, or None."""
    keys = jwks.get("keys")
    if not isinstance(keys, list) or not 1 <= len(keys) <= _MOST_KEYS or not all(isinstance(key, dict) for key in keys):
        return f"needs a list of 1 to {_MOST_KEYS} keys"
    if len(msgspec.json.encode(jwks)) > _LONGEST:
        return f"has more than {_LONGEST} bytes"
    kids = [key.get("kid") for key in keys]
    if not all(isinstance(kid, str) and 1 <= len(kid) <= _LONGEST_KID for kid in kids):
        return "every key needs a kid"
    if len(set(kids)) != len(kids):
        return "two keys have the same kid"
    for key in keys:
        if (reason := _check_key(key)) is not None:
            return f"the key {key['kid']} {reason}"
    return None


def _check_key(key: Mapping[str, Any]) -> str | None:
    if key.get("use") == "enc" and not _PRIVATE & key.keys():
        # Nothing is encrypted to clients; what others may use it for is of no concern here.
        return None
    alg = jose.algorithm_of(key)
    # No set, because what is compared with it may be anything.
    spelled = [alg, *(("Ed25519",) if alg == "EdDSA" else ())]
    faults = {
        "has private parts; it must be taken out of use, since it was sent": bool(_PRIVATE & key.keys()),
        "has an x5u, and no address is asked here; give x5c": "x5u" in key,
        "isn't for signatures": key.get("use", "sig") != "sig" or "verify" not in _operations(key),
        "is of no kind that may sign here; use RSA, P-256 or Ed25519": alg is None,
        f"names another algorithm than {alg}, which is that of its kind here": key.get("alg", alg) not in spelled,
    }
    fault = next((reason for reason, found in faults.items() if found), None)
    return fault or _check_numbers(key, alg) or _check_certificate(key)


def _operations(key: Mapping[str, Any]) -> Sequence[Any]:
    operations = key.get("key_ops", ["verify"])
    return operations if isinstance(operations, list) else []


def _check_numbers(key: Mapping[str, Any], alg: SigningAlgorithm | None) -> str | None:
    if alg == "PS256":
        # Looked at before it is imported, which for very long numbers takes very long.
        modulus, exponent = _number(key.get("n")), _number(key.get("e"))
        if not _LEAST_RSA_BITS <= modulus.bit_length() <= _MOST_RSA_BITS:
            return f"needs {_LEAST_RSA_BITS} to {_MOST_RSA_BITS} bits"
        if exponent < _LEAST_EXPONENT or exponent % 2 == 0 or modulus % 2 == 0:
            return "has weak numbers"
    try:
        jose.import_key(key).public_key  # noqa: B018 - made when it is first asked for, and only then checked
    except ValueError:
        return "can't be read"
    return None


def _number(text: Any) -> int:
    try:
        return int.from_bytes(base64.urlsafe_b64decode(str(text)[:4096] + "==="), "big")
    except (binascii.Error, ValueError):
        return 0


def _check_certificate(key: Mapping[str, Any]) -> str | None:
    if "x5c" not in key:
        return None
    certificate = certificate_in(key)
    if certificate is None:
        return "has an x5c that can't be read"
    if certificate.public_key() != jose.import_key(key).public_key:
        return "has an x5c of another key"
    return None


def certificate_in(key: Mapping[str, Any]) -> x509.Certificate | None:
    """Return the certificate that a key comes with (RFC 7517, section 4.7), or None."""
    chain = key.get("x5c")
    if not isinstance(chain, list) or not chain or not isinstance(chain[0], str):
        return None
    try:
        # The alphabet of x5c isn't that of URLs.
        return x509.load_der_x509_certificate(base64.b64decode(chain[0], validate=True))
    except (binascii.Error, ValueError):
        return None


def signing_keys(jwks: Mapping[str, Any] | None, algorithms: Sequence[SigningAlgorithm]) -> list[dict[str, Any]]:
    """Return those of a client's keys that may sign by one of these algorithms."""
    keys = [] if jwks is None else jwks["keys"]
    return [key for key in keys if key.get("use", "sig") == "sig" and jose.algorithm_of(key) in algorithms]
