"""A key in the transit engine of Vault or OpenBao: it signs there, and its private half never leaves.

The caller brings an ``hvac.Client`` that is logged in, by AppRole, Kubernetes or a token::

    import hvac
    from billfold.keys import VaultTransitKey

    vault = hvac.Client("https://vault.example.com")
    login = lambda client: client.auth.approle.login(role_id, secret_id)
    login(vault)
    key = VaultTransitKey(vault, "billfold-client", login=login)

It needs the extra ``billfold[vault]``. A policy that lets a program sign says ``update`` on ``transit/sign/<name>`` and
``read`` on ``transit/keys/<name>``; ``create`` would make a missing key silently.
"""

import base64
import binascii
import re
import threading
from collections.abc import Callable
from typing import Any, Final

from billfold._server import MissingExtraError
from billfold.client import _forking as forking
from billfold.keys.signer import (
    MIN_RSA_BITS,
    Algorithm,
    KeyForbidden,
    KeyProblem,
    KeyUnavailable,
    KeyUnusable,
    PublicHalf,
    b64url,
    finished,
    unb64url,
)

__all__ = ["VaultTransitKey"]

_TYPES: Final[dict[str, Algorithm]] = {
    "ecdsa-p256": "ES256",
    "rsa-2048": "PS256",
    "rsa-3072": "PS256",
    "rsa-4096": "PS256",
    "ed25519": "EdDSA",
}
_OPTIONS: Final[dict[Algorithm, dict[str, str]]] = {
    "ES256": {"hash_algorithm": "sha2-256", "marshaling_algorithm": "jws"},
    "PS256": {"hash_algorithm": "sha2-256", "signature_algorithm": "pss", "salt_length": "hash"},
    "EdDSA": {},
}
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?", re.ASCII)
_MOUNT: Final = re.compile(r"[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*", re.ASCII)
_BROKEN: Final = 500
_FORBIDDEN: Final = frozenset({401, 403})
_AWAY: Final = frozenset({412, 429, 472, 473, 500, 502, 503, 504})
"""A standby that lags behind, too much at once, standbys, and a Vault that is sealed, broken or not there."""
_SIGNATURE_BYTES: Final[dict[Algorithm, int]] = {"ES256": 64, "EdDSA": 64}


class VaultTransitKey(PublicHalf):
    """One version of a key in the transit engine.

    It stays with that version: when the key is rotated, what is registered for the client is still what signs. To move
    on, register the public half of a new ``VaultTransitKey``. Safe in threads and after a fork.

    Making one asks Vault for the public half, which blocks for a moment; a program on asyncio makes it at start.

    Args:
        client: A client of hvac that is logged in.
        name: The key's name in the engine. Its type is ``ecdsa-p256``, ``rsa-2048`` (or larger) or ``ed25519``.
        mount_point: Where the engine is mounted.
        version: Which version signs; the latest where absent.
        login: Logs the client in again when its token is no longer good. Called by one thread at a time.
        timeout_s: How long Vault may take to answer.
        kid: The key's name where it is registered, if a directory has given it one; its thumbprint where absent.

    Raises:
        KeyUnusable: There is no such key, or it is of another type.
        KeyForbidden: The client's policy doesn't allow it.
        KeyUnavailable: Vault is away, sealed or overloaded.
        ImportError: The extra isn't installed.
    """

    def __init__(
        self,
        client: Any,
        name: str,
        *,
        mount_point: str = "transit",
        version: int | None = None,
        login: Callable[[Any], object] | None = None,
        timeout_s: float = 2.0,
        kid: str | None = None,
    ) -> None:
        try:
            import hvac  # noqa: F401, PLC0415  # Whether it is there; its errors are told apart when they come.
        except ImportError as error:
            raise MissingExtraError("vault", name="hvac") from error
        # Both become parts of an address.
        if not _NAME.fullmatch(name) or not _MOUNT.fullmatch(mount_point):
            raise ValueError("name or mount_point isn't one of Vault's")
        if timeout_s <= 0 or (version is not None and version < 1):
            raise ValueError("timeout_s and version must be positive")
        self._client = client
        self._name = name
        self._mount = mount_point
        self._login = login
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        forking.watch(self)
        self._kid = kid
        self._version, self._algorithm, self._public = self._look_up(version)

    @property
    def version(self) -> int:
        """The version of the key that signs."""
        return self._version

    @property
    def blocks(self) -> bool:
        """Signing waits for Vault."""
        return True

    def sign(self, data: bytes) -> bytes:
        """Let Vault sign some bytes.

        Raises:
            KeyUnusable: The key or its version is gone.
            KeyForbidden: The client's policy doesn't allow it.
            KeyUnavailable: Vault is away, sealed or overloaded, or answered something else.
        """
        asked = {
            "input": base64.b64encode(data).decode("ascii"),
            "key_version": self._version,
            **_OPTIONS[self._algorithm],
        }
        try:
            answer = self._ask("post", f"sign/{self._name}", asked)
        except KeyUnavailable as error:
            # Vault answers 500 for a version that may no longer sign, as it does when it is broken.
            if error.status != _BROKEN or not self._is_retired():
                raise
        else:
            return self._read_signature(answer.get("signature"))
        raise KeyUnusable("this version of the key may no longer sign", status=_BROKEN)

    def after_fork(self) -> None:
        """Let go of the lock, and of connections that belong to the parent process."""
        self._lock = threading.Lock()
        self._client.adapter.close()

    def __repr__(self) -> str:
        return f"VaultTransitKey({self._name!r}, {self._algorithm}, version={self._version}, kid={self.kid!r})"

    def _look_up(self, version: int | None) -> tuple[int, Algorithm, dict[str, str]]:
        found = self._ask("get", f"keys/{self._name}", None)
        algorithm = _TYPES.get(str(found.get("type")))
        if algorithm is None:
            raise KeyUnusable("the key in Vault must be of type ecdsa-p256, rsa-2048 or ed25519")
        chosen = version or found.get("latest_version")
        try:
            public = found["keys"][str(chosen)]["public_key"]
            return int(str(chosen)), algorithm, finished(_public_members(algorithm, public), algorithm, self._kid)
        except (KeyError, TypeError, ValueError):
            raise KeyUnusable("Vault has no such version of the key") from None

    def _is_retired(self) -> bool:
        try:
            least = self._ask("get", f"keys/{self._name}", None).get("min_encryption_version")
        except KeyProblem:
            return False
        return isinstance(least, int) and self._version < least

    def _read_signature(self, text: object) -> bytes:
        prefix = f"vault:v{self._version}:"
        if not isinstance(text, str) or not text.startswith(prefix):
            raise KeyUnavailable("Vault answered something else than a signature by this version of the key")
        encoded = text.removeprefix(prefix)
        try:
            signature = unb64url(encoded) if self._algorithm == "ES256" else base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            raise KeyUnavailable("Vault answered something else than a signature") from None
        wanted = _SIGNATURE_BYTES.get(self._algorithm) or len(unb64url(self._public["n"]))
        if len(signature) != wanted:
            raise KeyUnavailable("Vault answered a signature of another form")
        return signature

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        """Ask the engine, and once more after another login where the token is no longer good."""
        token = self._client.token
        try:
            return self._ask_once(method, path, body)
        except KeyForbidden:
            if self._login is None:
                raise
        with self._lock:
            # Whoever comes second finds that the first has logged in already.
            if self._client.token == token:
                self._log_in(self._login)
        return self._ask_once(method, path, body)

    def _log_in(self, login: Callable[[Any], object]) -> None:
        problem: KeyProblem
        try:
            login(self._client)
        except Exception as error:  # noqa: BLE001  # It is the caller's code, and may hold a secret in its message.
            problem = _problem_of(error)
        else:
            return
        raise problem

    def _ask_once(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        problem: KeyProblem
        try:
            answer = self._client.adapter.request(
                method, f"/v1/{self._mount}/{path}", timeout=self._timeout_s, raise_exception=False, json=body
            )
        except Exception as error:  # noqa: BLE001  # Told apart below; an error of requests holds the address.
            problem = _problem_of(error)
        else:
            # The adapter returns what it has read from a success, and the response itself otherwise.
            data = answer.get("data") if isinstance(answer, dict) else None
            if isinstance(data, dict):
                return data
            problem = _problem_of_status(0 if isinstance(answer, dict) else answer.status_code)
        # Outside of the handler, so that no cause with an address or a token in it is carried along.
        raise problem


def _problem_of(error: Exception) -> KeyProblem:
    from hvac import exceptions  # noqa: PLC0415

    if isinstance(error, exceptions.Forbidden | exceptions.Unauthorized):
        return KeyForbidden("Vault refuses this client")
    if isinstance(error, exceptions.InvalidRequest | exceptions.InvalidPath | exceptions.ParamValidationError):
        return KeyForbidden("Vault refuses this client's login")
    return KeyUnavailable(f"Vault didn't answer as it should ({type(error).__name__})")


def _problem_of_status(status: int) -> KeyProblem:
    if status in _FORBIDDEN:
        return KeyForbidden("Vault doesn't let this client use the key", status=status)
    if status in _AWAY or status < 400:  # noqa: PLR2004  # A success that can't be read comes from something else.
        return KeyUnavailable(f"Vault is away, or overloaded (status {status})", status=status)
    return KeyUnusable(f"Vault has no such key or version, or can't sign with it (status {status})", status=status)


def _public_members(algorithm: Algorithm, text: str) -> dict[str, str]:
    """Return the members of a public key as Vault shows it: PEM, or for Ed25519 the bytes in base64."""
    if algorithm == "EdDSA":
        return {"kty": "OKP", "crv": "Ed25519", "x": b64url(base64.b64decode(text, validate=True))}
    from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

    key = load_pem_public_key(text.encode())
    if isinstance(key, ec.EllipticCurvePublicKey):
        point = key.public_numbers()
        x, y = (b64url(number.to_bytes(32, "big")) for number in (point.x, point.y))
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y}
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < MIN_RSA_BITS:
        raise ValueError("not a key of the type that Vault says")
    numbers = key.public_numbers()
    n, e = (b64url(number.to_bytes((number.bit_length() + 7) // 8, "big")) for number in (numbers.n, numbers.e))
    return {"kty": "RSA", "n": n, "e": e}
