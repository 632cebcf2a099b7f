"""A key in a file, or in memory."""

import logging
import os
import stat
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self, get_args

from billfold.keys.signer import MIN_RSA_BITS, Algorithm, KeyUnusable, PublicHalf, b64url, finished

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

__all__ = ["PemKey"]

_log = logging.getLogger("billfold")

_P256_BYTES: Final = 32
_RSA_BITS: Final = 3072
_OWNER_ONLY: Final = 0o600


class PemKey(PublicHalf):
    """A private key in PEM: P-256 for ES256, RSA of 2048 bits and more for PS256, Ed25519 for EdDSA.

    It never shows its private half, and isn't pickled. Safe in threads and after a fork.

    Args:
        source: The file, or what it holds (as bytes).
        passphrase: What the file is encrypted with, if it is.
        kid: The key's name where it is registered, if a directory has given it one; its thumbprint where absent.

    Raises:
        KeyUnusable: There is no such key in it, the passphrase is wrong, or the key is too small.
        OSError: The file can't be read.
    """

    __slots__ = ("_key",)

    def __init__(
        self,
        source: str | PathLike[str] | bytes,
        *,
        passphrase: str | bytes | None = None,
        kid: str | None = None,
    ) -> None:
        pem = source if isinstance(source, bytes) else _read(Path(fspath(source)))
        self._adopt(_load(pem, passphrase), kid)

    @classmethod
    def generate(cls, algorithm: Algorithm = "ES256") -> Self:
        """Make a new key.

        Raises:
            ValueError: There is no such algorithm.
        """
        made = cls.__new__(cls)
        made._adopt(_make(algorithm))  # noqa: SLF001  # Of the same class.
        return made

    def _adopt(self, key: "PrivateKeyTypes", kid: str | None = None) -> None:
        self._algorithm, jwk = _described(key)
        self._key: Any = key
        self._public = finished(jwk, self._algorithm, kid)

    @property
    def blocks(self) -> bool:
        """Signing waits for nothing."""
        return False

    def sign(self, data: bytes) -> bytes:
        """Return the signature of some bytes in the form that JOSE wants."""
        if self._algorithm == "EdDSA":
            signature: bytes = self._key.sign(data)
            return signature
        return _sign_es256(self._key, data) if self._algorithm == "ES256" else _sign_ps256(self._key, data)

    def save(self, path: str | PathLike[str], *, passphrase: str | bytes | None = None) -> Path:
        """Write the private key to a new file that its owner alone may read.

        Args:
            path: Where; a file that is there already is left as it is.
            passphrase: What to encrypt it with.

        Raises:
            FileExistsError: There is a file already, which may be the only copy of another key.
        """
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  # Costs more than the rest of the SDK.

        encryption: serialization.KeySerializationEncryption = (
            serialization.NoEncryption()
            if passphrase is None
            else serialization.BestAvailableEncryption(_as_bytes(passphrase))
        )
        pem = self._key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        target = Path(fspath(path))
        # The mode is given when the file is made, so there is no moment in which another may open it.
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        return target

    def __repr__(self) -> str:
        return f"PemKey({self._algorithm}, kid={self.kid!r})"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: a private key shall not travel by chance."""
        raise TypeError("a private key isn't pickled; load it where it is needed")


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if os.name == "posix" and mode & stat.S_IROTH:
            _log.warning("every user of this machine can read the private key in %s", path.name)
        return file.read()


def _as_bytes(passphrase: str | bytes) -> bytes:
    return passphrase.encode() if isinstance(passphrase, str) else passphrase


def _load(pem: bytes, passphrase: str | bytes | None) -> "PrivateKeyTypes":
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    secret = None if passphrase is None else _as_bytes(passphrase)
    try:
        return load_pem_private_key(pem, secret)
    except TypeError:
        # It says whether the two go together and nothing else; its message is not ours to repeat.
        reason = "the key isn't encrypted" if passphrase is not None else "the key is encrypted, and needs a passphrase"
    except (ValueError, UnsupportedAlgorithm):
        reason = "it isn't a private key in PEM, or the passphrase is wrong"
    raise KeyUnusable(reason)


def _make(algorithm: str) -> "PrivateKeyTypes":
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415

    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "PS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    raise ValueError(f"algorithm must be one of {', '.join(get_args(Algorithm))}")


def _described(key: "PrivateKeyTypes") -> tuple[Algorithm, dict[str, str]]:
    """Return what a key signs with, and the members of its public half.

    Raises:
        KeyUnusable: It is of another kind, or too small.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        point = key.public_key().public_numbers()
        x, y = (b64url(number.to_bytes(_P256_BYTES, "big")) for number in (point.x, point.y))
        return "ES256", {"kty": "EC", "crv": "P-256", "x": x, "y": y}
    if isinstance(key, ed25519.Ed25519PrivateKey):
        raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return "EdDSA", {"kty": "OKP", "crv": "Ed25519", "x": b64url(raw)}
    if not isinstance(key, rsa.RSAPrivateKey):
        raise KeyUnusable("the key must be of P-256, RSA or Ed25519")
    if key.key_size < MIN_RSA_BITS:
        raise KeyUnusable(f"an RSA key must have {MIN_RSA_BITS} bits or more")
    numbers = key.public_key().public_numbers()
    n, e = (b64url(number.to_bytes((number.bit_length() + 7) // 8, "big")) for number in (numbers.n, numbers.e))
    return "PS256", {"kty": "RSA", "n": n, "e": e}


def _sign_es256(key: Any, data: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric import ec, utils  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    # JOSE puts the two numbers side by side, cryptography into ASN.1 (RFC 7518, section 3.4).
    r, s = utils.decode_dss_signature(key.sign(data, ec.ECDSA(SHA256())))
    return r.to_bytes(_P256_BYTES, "big") + s.to_bytes(_P256_BYTES, "big")


def _sign_ps256(key: Any, data: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric import padding  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    # RFC 7518, section 3.5: the salt is as long as the hash.
    pss = padding.PSS(padding.MGF1(SHA256()), padding.PSS.DIGEST_LENGTH)
    signature: bytes = key.sign(data, pss, SHA256())
    return signature
