"""Proofs of possession: a JWT for each request, signed by the key to which tokens are bound (RFC 9449).

A proof is checked here (section 4.3) but for its being new, which ``replay`` tells. The key in its header is the
client's word alone; what makes it worth something is that a token, a code or a client is bound to its thumbprint.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Meta

from billfold_server.identity import jose
from billfold_server.identity.profiles import SigningAlgorithm

__all__ = ["AHEAD_S", "LIFE_S", "Keys", "Nonces", "Proof", "ProofRefused", "ath_of", "check_proof", "normalised"]

LIFE_S: Final = 60
"""How old a proof may be: clocks differ, and a request takes its time."""

AHEAD_S: Final = 15
"""How far a client's clock may be ahead of ours; FAPI 2.0 (section 5.3.2.1) asks for 10 s at least."""

_LONGEST: Final = 8192
_FORM = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_RSA_BITS: Final = range(2048, 4097)
_RSA_EXPONENT_BITS: Final = 32
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class ProofRefused(Exception):
    """A proof doesn't prove.

    Attributes:
        error: ``invalid_dpop_proof``, or ``use_dpop_nonce`` where only the server's nonce is missing (section 8).
        description: For the developer of the client.
    """

    def __init__(self, error: str, description: str) -> None:
        super().__init__(error)
        self.error = error
        self.description = description


def _refusal(description: str) -> ProofRefused:
    return ProofRefused("invalid_dpop_proof", description)


class Proof(msgspec.Struct, frozen=True):
    """A proof that holds, if it is new.

    Attributes:
        jkt: The key's thumbprint (RFC 7638), to which tokens are bound.
        jti: Its id, single-use for the key.
        expires_at: Until when it would be believed.
        nonce: The nonce that it holds.
    """

    jkt: str
    jti: str
    expires_at: datetime
    nonce: str | None


class _Header(msgspec.Struct, frozen=True):
    typ: str
    alg: str
    jwk: dict[str, Any]
    crit: Any = None


class _Claims(msgspec.Struct, frozen=True):
    """What a proof says (section 4.2); what else it says doesn't matter."""

    jti: Annotated[str, Meta(min_length=1, max_length=256)]
    htm: str
    htu: Annotated[str, Meta(max_length=2048)]
    iat: int | float
    nonce: str | None = None
    ath: str | None = None
    exp: int | float | None = None
    nbf: int | float | None = None


class _Known(msgspec.Struct, frozen=True):
    algorithm: SigningAlgorithm
    jkt: str
    key: Any


_HEADER = msgspec.json.Decoder(_Header)
_CLAIMS = msgspec.json.Decoder(_Claims)


class Keys:
    """The keys of proofs, by the headers that hold them: a client sends the same header with each of its proofs.

    Args:
        size: How many are remembered.
    """

    def __init__(self, size: int = 4_000) -> None:
        self._size = size
        self._known: dict[str, _Known] = {}

    def read(self, segment: str) -> _Known:
        """Return what a proof's header says, once it is of our form.

        Raises:
            ProofRefused: It isn't.
        """
        known = self._known.get(segment)
        if known is None:
            known = _read_header(segment)
            if len(self._known) >= self._size:
                self._known.clear()
            self._known[segment] = known
        return known


def _read_header(segment: str) -> _Known:
    try:
        header = _HEADER.decode(_decoded(segment))
    except (ValueError, msgspec.DecodeError):
        raise _refusal("the proof's header can't be read") from None
    if header.typ != "dpop+jwt":
        raise _refusal("the proof's typ isn't dpop+jwt")
    if header.crit is not None:
        raise _refusal("the proof's header names extensions that aren't known here")
    if not _PRIVATE.isdisjoint(header.jwk):
        raise _refusal("the proof's jwk isn't a public key")
    if (algorithm := jose.named(header.alg)) is None:
        raise _refusal("the proof is signed by an algorithm that isn't taken here")
    try:
        key = _import(algorithm, header.jwk)
    except (ValueError, KeyError):
        raise _refusal("the proof's jwk isn't a key of its alg") from None
    return _Known(algorithm, key.thumbprint(), key)


def _import(alg: SigningAlgorithm, jwk: Mapping[str, Any]) -> jose.SigningKey:
    """Return a stranger's key. Its kind and size are bounded, so that checking a signature costs no more than ours."""
    public = {name: jwk[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in jwk}
    if jose.algorithm_of(public) != alg:
        raise ValueError(alg)
    if alg == "PS256":
        modulus, exponent = (int.from_bytes(_decoded(str(public[name]))) for name in ("n", "e"))
        if modulus.bit_length() not in _RSA_BITS or exponent.bit_length() > _RSA_EXPONENT_BITS:
            raise ValueError(alg)
    return jose.import_key(public)


def check_proof(
    proof: str,
    *,
    keys: Keys,
    method: str,
    urls: Collection[str],
    algorithms: Collection[str],
    now: datetime,
    ath: str | None = None,
) -> Proof:
    """Return what a proof proves, but for its being new and its nonce, which ``Nonces`` and ``replay`` tell.

    Args:
        proof: The request's one ``DPoP`` header.
        keys: Those that are known already.
        method: The request's method.
        urls: The addresses that the request may have been sent to, as ``normalised`` returns them.
        algorithms: What may sign here.
        now: The real time.
        ath: ``ath_of`` the access token beside it, where there is one; the proof must be made for it.

    Raises:
        ProofRefused: It doesn't hold.
    """
    match = _FORM.fullmatch(proof) if len(proof) <= _LONGEST else None
    if match is None or len(match[1]) > jose.LONGEST_HEADER:
        raise _refusal("there must be one DPoP header, which is a compact JWS")
    known = keys.read(match[1])
    if known.algorithm not in algorithms:
        raise _refusal("the proof is signed by an algorithm that isn't taken here")
    try:
        claims = _CLAIMS.decode(jose.payload_of(proof, known.key, alg=known.algorithm))
    except jose.SignatureInvalid:
        raise _refusal("the proof's signature doesn't verify") from None
    except (ValueError, msgspec.DecodeError):
        raise _refusal("the proof's claims can't be read") from None
    # HEAD is GET without the body, and is run as one.
    if claims.htm != method and (claims.htm, method) != ("HEAD", "GET"):
        raise _refusal("the proof is for another method")
    # Most are spelled as they should be, and where nothing is escaped there is only one way to read that.
    is_plain = claims.htu in urls and "%" not in claims.htu
    if not is_plain and normalised(claims.htu) not in urls:
        raise _refusal("the proof is for another address")
    if ath is not None and not _same(claims.ath or "", ath):
        raise _refusal("the proof is for another access token")
    _check_time(claims, now.timestamp())
    expires_at = datetime.fromtimestamp(claims.iat + LIFE_S, tz=UTC)
    return Proof(known.jkt, claims.jti, expires_at, claims.nonce)


def _check_time(claims: _Claims, now_s: float) -> None:
    if not now_s - LIFE_S <= claims.iat <= now_s + AHEAD_S:
        raise _refusal("the proof is too old, or from the future")
    if claims.exp is not None and claims.exp <= now_s:
        raise _refusal("the proof has expired")
    if claims.nbf is not None and claims.nbf > now_s + AHEAD_S:
        raise _refusal("the proof isn't valid yet")


_PORTS: Final = {"https": 443, "http": 80}


def normalised(url: str) -> str:
    """Return an address without query and fragment, in the one spelling of RFC 3986, sections 6.2.2 and 6.2.3.

    What can't be an address of ours becomes empty, which equals none.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if not host or parts.scheme not in _PORTS or parts.username is not None:
        return ""
    host = f"[{host}]" if ":" in host else host
    place = "" if port is None or port == _PORTS[parts.scheme] else f":{port}"
    return f"{parts.scheme}://{host}{place}{unquote(parts.path) or '/'}"


class Nonces:
    """The server's nonces (section 8): a time and a MAC of it, so that no worker has to remember any.

    Whoever could use a client's key for a moment can't make proofs for later, because nonces of later aren't known yet.

    Args:
        key: Makes the MAC; the same in every worker.
    """

    STEP_S: Final = 60
    STEPS: Final = 5

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._latest: dict[str, tuple[int, str]] = {}

    def current(self, owner: str, now: datetime) -> str:
        """Return the nonce that proofs for a realm should hold now.

        Args:
            owner: The realm's owner.
            now: The real time.
        """
        step = int(now.timestamp()) // self.STEP_S
        latest = self._latest.get(owner)
        if latest is None or latest[0] != step:
            if len(self._latest) > _REALMS:
                self._latest.clear()
            latest = self._latest[owner] = step, self._of(owner, step)
        return latest[1]

    def is_valid(self, nonce: str, owner: str, now: datetime) -> bool:
        """Tell whether a nonce is one of the last five minutes."""
        if _same(nonce, self.current(owner, now)):
            return True
        step = int(now.timestamp()) // self.STEP_S
        # The next one may come from a worker whose clock is a moment ahead.
        around = (step + 1, *range(step - 1, step - self.STEPS, -1))
        return any(_same(nonce, self._of(owner, each)) for each in around)

    def _of(self, owner: str, step: int) -> str:
        time = step.to_bytes(6, "big")
        tag = hmac.digest(self._key, time + owner.encode(), "sha256")[:18]
        return base64.urlsafe_b64encode(time + tag).decode()


_REALMS: Final = 5_000


def ath_of(access_token: str) -> str:
    """Return the ``ath`` of a token (section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(access_token.encode()).digest()).rstrip(b"=").decode()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _decoded(segment: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except binascii.Error as error:
        raise ValueError(segment) from error
