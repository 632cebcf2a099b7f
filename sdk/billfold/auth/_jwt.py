"""JSON Web Tokens as this package makes and reads them: compact, signed, by three algorithms (RFC 7515, 7519, 8725)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from billfold.keys.signer import (
    ALGORITHMS,
    MIN_RSA_BITS,
    Algorithm,
    KeyUnusable,
    Signer,
    algorithm_of,
    b64url,
    bare,
    unb64url,
)

__all__ = [
    "Because",
    "Rejected",
    "check_signature",
    "compact",
    "encoded",
    "is_time",
    "signing_input",
    "unverified_header",
    "verified",
]

_MAX_BYTES: Final = 64 * 1024
_PARTS: Final = 3


Because = Literal["form", "key", "signature"]
"""What is to blame for it that a token isn't accepted."""


class Rejected(Exception):
    """A token isn't accepted. The message says why, and holds nothing of it.

    Attributes:
        reason: Why.
        because: What is to blame: what the token says, the key that it names, or its signature.
        unknown_key: Whether it names a key that isn't in the set, so that a newer set may help.
    """

    def __init__(self, reason: str, *, because: Because = "form", unknown_key: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.because: Because = because
        self.unknown_key = unknown_key


def signing_input(
    signer: Signer, claims: Mapping[str, Any], *, typ: str, header: Mapping[str, Any] | None = None
) -> bytes:
    """Return what is signed: header and claims (RFC 7515, section 5.1).

    Args:
        signer: The key, which names the algorithm.
        claims: What the token says.
        typ: What kind of token it is, so that none is taken for another (RFC 8725, section 3.11).
        header: What else its header says; the key's name where absent.
    """
    head = {"typ": typ, "alg": signer.algorithm, **({"kid": signer.kid} if header is None else header)}
    return ".".join(map(encoded, (head, claims))).encode()


def encoded(members: Mapping[str, Any]) -> str:
    """Return an object as a part of a token."""
    return b64url(json.dumps(members, separators=(",", ":")).encode())


def compact(data: bytes, signature: bytes) -> str:
    """Return the token from what was signed and its signature."""
    return f"{data.decode('ascii')}.{b64url(signature)}"


def unverified_header(token: str, *, largest: int | None = _MAX_BYTES) -> dict[str, Any]:
    """Return a token's header, of which nothing may be believed yet.

    Args:
        token: In compact form.
        largest: How long it may be, in characters; None where who calls has seen to that.

    Raises:
        Rejected: It isn't a token of this form.
    """
    if (largest is not None and len(token) > largest) or token.count(".") != _PARTS - 1:
        raise Rejected("it isn't a signed token in compact form")
    return _object(token.partition(".")[0], "header isn't")


def _object(part: str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(unb64url(part), object_pairs_hook=_no_twins, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Rejected(f"its {what} JSON in base64") from None
    if not isinstance(value, dict):
        raise Rejected(f"its {what} an object")
    return value


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    # Two readers may choose differently between two members of one name (RFC 7515, section 4).
    if len(made) != len(pairs):
        raise ValueError("a member occurs twice")
    return made


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} isn't JSON")


def verified(
    token: str, keys: Iterable[Mapping[str, Any]], *, algorithms: Sequence[str] = ALGORITHMS, typ: Sequence[str] = ()
) -> dict[str, Any]:
    """Return what a token says, once its signature is checked.

    The key is found by its name among the issuer's own; what the token says of keys elsewhere (``jku``, ``jwk``,
    ``x5u``, ``x5c``) is ignored. The key, not the token, decides the algorithm, and the token has to agree.

    Args:
        token: In compact form.
        keys: The issuer's public keys.
        algorithms: Which may be used at all.
        typ: Which kinds of token are meant (without ``application/``); any where absent, as ID tokens have none.

    Raises:
        Rejected: It isn't the issuer's, or not of the kind.
    """
    header = unverified_header(token)
    if "crit" in header or "b64" in header:
        raise Rejected("its header asks for an extension")
    if typ and str(header.get("typ", "")).lower().removeprefix("application/") not in typ:
        raise Rejected("it is a token of another kind")
    check_signature(token, keys, header=header, algorithms=algorithms)
    return _object(token.split(".")[1], "claims aren't")


def check_signature(
    token: str, keys: Iterable[Mapping[str, Any]], *, header: Mapping[str, Any], algorithms: Sequence[str]
) -> None:
    """See that a token is signed by the one of the keys that its header names; who calls has looked at all of that.

    Raises:
        Rejected: It isn't.
    """
    jwk, algorithm = _key_for(header, keys, algorithms)
    _check_signature(token, jwk, algorithm)


def _key_for(
    header: Mapping[str, Any], keys: Iterable[Mapping[str, Any]], algorithms: Sequence[str]
) -> tuple[Mapping[str, Any], Algorithm]:
    named = header.get("alg")
    if named not in algorithms:
        raise Rejected("its algorithm isn't one that is allowed", because="key")
    kid = header.get("kid")
    usable = [(each, _usable(each)) for each in keys]
    fitting = [(jwk, algorithm) for jwk, algorithm in usable if algorithm is not None and algorithm == named]
    if kid is not None:
        fitting = [(jwk, algorithm) for jwk, algorithm in fitting if jwk.get("kid") == kid]
    if len(fitting) != 1:
        raise Rejected("no one key of its issuer fits it", because="key", unknown_key=not fitting)
    return fitting[0]


def _usable(jwk: Mapping[str, Any]) -> Algorithm | None:
    """Return a key's algorithm, or None where it isn't for signatures."""
    algorithm = algorithm_of(jwk)
    operations = jwk.get("key_ops")
    if jwk.get("use", "sig") != "sig" or jwk.get("alg", algorithm) != algorithm:
        return None
    return None if isinstance(operations, list) and "verify" not in operations else algorithm


def _check_signature(token: str, jwk: Mapping[str, Any], algorithm: Algorithm) -> None:
    from joserfc import errors, jws  # noqa: PLC0415  # Costs more than the rest of the SDK, and few programs need it.
    from joserfc.jwk import import_key  # noqa: PLC0415

    data, _, signature = token.rpartition(".")
    try:
        members = bare(jwk)
        if algorithm == "PS256" and int.from_bytes(unb64url(members["n"]), "big").bit_length() < MIN_RSA_BITS:
            raise Rejected("its issuer's key is too small", because="key")
        key = import_key({**members})
        # joserfc's registry would warn that RFC 9864 has a new name for EdDSA, on each call and in the user's program.
        fine = jws.JWSRegistry.algorithms[algorithm].verify(data.encode("ascii"), unb64url(signature), key)
    except (errors.JoseError, KeyUnusable, ValueError):
        fine = False
    if not fine:
        raise Rejected("its signature is wrong", because="signature")


def is_time(value: object) -> bool:
    """Tell whether a claim is a time (RFC 7519, section 2) that Python can count with."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53
