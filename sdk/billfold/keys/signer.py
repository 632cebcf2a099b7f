"""What every key can do, how it is named, and how it fails.

::

    BillfoldError
    └── KeyProblem                a key can't sign
        ├── KeyUnusable           it isn't a key, or not one that may be used; trying again won't help
        ├── KeyForbidden          who holds it doesn't let us
        └── KeyUnavailable        who holds it is away for now
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal, Protocol, runtime_checkable

from billfold import errors

__all__ = [
    "ALGORITHMS",
    "MIN_RSA_BITS",
    "Algorithm",
    "KeyForbidden",
    "KeyProblem",
    "KeyUnavailable",
    "KeyUnusable",
    "PublicHalf",
    "Signer",
    "algorithm_of",
    "b64url",
    "bare",
    "finished",
    "thumbprint",
    "unb64url",
]

Algorithm = Literal["ES256", "PS256", "EdDSA"]
"""What may sign: the algorithms of FAPI 2.0 (Security Profile, section 5.4.1), as JOSE calls them (RFC 7518, 8037)."""

ALGORITHMS: Final[tuple[Algorithm, ...]] = ("ES256", "PS256", "EdDSA")

MIN_RSA_BITS: Final = 2048

_REQUIRED: Final = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n"), "OKP": ("crv", "kty", "x")}
"""The members that make a public key what it is, in the order of RFC 7638, section 3.2."""


class KeyProblem(errors.BillfoldError):
    """A key can't sign. The message holds neither the key nor the address of who holds it.

    Attributes:
        code: Stable name of the problem.
        status: The HTTP status by which who holds the key refused, where it answered.
    """

    code: ClassVar[str] = "key_problem"

    def __init__(self, detail: str, *, status: int | None = None) -> None:
        super().__init__(detail)
        self.status = status


class KeyUnusable(KeyProblem):
    """It isn't a key, can't be opened, or isn't of a kind that may be used."""

    code = "key_unusable"


class KeyForbidden(KeyProblem):
    """Who holds the key doesn't let this program use it."""

    code = "key_forbidden"


class KeyUnavailable(KeyProblem):
    """Who holds the key is away, sealed or overloaded for now."""

    code = "key_unavailable"


@runtime_checkable
class Signer(Protocol):
    """A key that signs.

    Attributes:
        algorithm: By which algorithm.
        kid: The key's name where it is registered: the thumbprint of its public half (RFC 7638), if none was given.
        public_jwk: The public half (RFC 7517), with ``kid``, ``alg`` and ``use``.
        blocks: Whether ``sign`` waits for something outside of the process. The asynchronous client then calls it in a
            thread.
    """

    @property
    def algorithm(self) -> Algorithm:
        """By which algorithm it signs."""
        ...

    @property
    def kid(self) -> str:
        """The key's name where it is registered."""
        ...

    @property
    def public_jwk(self) -> dict[str, str]:
        """The public half."""
        ...

    @property
    def blocks(self) -> bool:
        """Whether signing waits for something outside of the process."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Return the signature of some bytes, in the form that JOSE wants (RFC 7518, section 3; RFC 8037).

        Raises:
            KeyProblem: The key can't sign now, or not at all.
        """
        ...


class PublicHalf:
    """What our keys tell of themselves, whoever holds the private half."""

    __slots__ = ("_algorithm", "_public")

    _algorithm: Algorithm
    _public: dict[str, str]

    @property
    def algorithm(self) -> Algorithm:
        """By which algorithm it signs."""
        return self._algorithm

    @property
    def kid(self) -> str:
        """The key's name where it is registered: the thumbprint of its public half, if none was given."""
        return self._public["kid"]

    @property
    def public_jwk(self) -> dict[str, str]:
        """The public half."""
        return self._public.copy()

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the public half as a key set (RFC 7517, section 5), which is what is registered for a client."""
        return {"keys": [self.public_jwk]}


def b64url(data: bytes) -> str:
    """Return bytes in the base64 of JOSE (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unb64url(text: str) -> bytes:
    """Return the bytes of such a text.

    Raises:
        ValueError: It isn't one, or not in the one form that its bytes have.
    """
    data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    # Other bits may hide in the last character, and `=` at the end, both of which a second encoding shows.
    if b64url(data) != text:
        raise ValueError("not the base64 of JOSE")
    return data


def bare(jwk: Mapping[str, Any]) -> dict[str, str]:
    """Return only what makes a public key what it is, and nothing of its private half (RFC 7638, section 3.2).

    Raises:
        KeyUnusable: A member is missing or isn't text, or the type of key isn't known.
    """
    names = _REQUIRED.get(str(jwk.get("kty")))
    if names is None:
        raise KeyUnusable("the type of key isn't known")
    found = {name: jwk[name] for name in names if isinstance(jwk.get(name), str)}
    if len(found) != len(names):
        raise KeyUnusable("the public key isn't whole")
    return found


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """Return a public key's thumbprint by SHA-256 (RFC 7638), by which servers bind tokens to it.

    Raises:
        KeyUnusable: It isn't a whole public key of a known type.
    """
    text = json.dumps(bare(jwk), separators=(",", ":"), sort_keys=True)
    return b64url(hashlib.sha256(text.encode()).digest())


def algorithm_of(jwk: Mapping[str, Any]) -> Algorithm | None:
    """Return the one algorithm that a public key is used with, or None where it may not be used at all.

    The key decides, never what is signed: that is what keeps algorithms from being confused (RFC 8725, section 3.1).
    """
    kind, curve = jwk.get("kty"), jwk.get("crv")
    if kind == "EC":
        return "ES256" if curve == "P-256" else None
    if kind == "OKP":
        return "EdDSA" if curve == "Ed25519" else None
    return "PS256" if kind == "RSA" else None


def finished(jwk: Mapping[str, Any], algorithm: Algorithm, kid: str | None = None) -> dict[str, str]:
    """Return a public key as it is registered: with its name (its thumbprint where absent), algorithm and use."""
    return {**bare(jwk), "kid": kid or thumbprint(jwk), "alg": algorithm, "use": "sig"}
