"""How a process logs in to Vault: by AppRole, a Kubernetes service account, a client certificate, or a token.

What a login needs is read from its file each time, since whoever renews it (an agent, Kubernetes, an operator) doesn't
tell us.
"""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from billfold_server.db.embedded.locks import locked
from billfold_server.keys.backends.vault.answers import Forbidden, Refused, Trouble
from billfold_server.keys.backends.vault.link import Link
from billfold_server.keys.rules import SealBroken, seal, unseal
from billfold_server.private_files import keep_privately

__all__ = [
    "Granted",
    "Login",
    "SecretIds",
    "by_approle",
    "by_certificate",
    "by_kubernetes",
    "by_token",
    "nobody",
]

_LARGEST_BYTES: Final = 65_536


class Granted(msgspec.Struct, frozen=True):
    """What a login has brought.

    Attributes:
        token: Shows Vault who asks.
        ttl_s: For how long it is good; 0 is without end.
        renewable: Whether that can be made longer.
        own: Whether this login made it, so that it may be revoked when it isn't needed any more.
    """

    token: str
    ttl_s: float
    renewable: bool
    own: bool = True


Login = Callable[[Link], Granted]
"""Logs in once more. Raises ``Trouble``, or ``Forbidden`` and ``Refused`` where Vault doesn't know us."""


def nobody(link: Link) -> Granted:
    """Log in as nobody: the process has no credentials for this domain, and leaves it to another."""
    del link
    raise Trouble("credentials_missing")


def by_approle(role_id: str, mount: str, secret_id: Callable[[Link], str]) -> Login:
    """Return the login by a role id and a secret id.

    Args:
        role_id: Says which role.
        mount: Where the auth method is.
        secret_id: Returns the secret id.
    """

    def login(link: Link) -> Granted:
        approle = link.client().auth.approle
        return _granted(approle.login(role_id, secret_id(link), use_token=False, mount_point=mount))

    return login


def by_kubernetes(role: str, mount: str, file: str) -> Login:
    """Return the login by the token that Kubernetes gives a service account, and replaces every hour or so."""

    def login(link: Link) -> Granted:
        kubernetes = link.client().auth.kubernetes
        return _granted(kubernetes.login(role, read(file), use_token=False, mount_point=mount))

    return login


def by_certificate(role: str | None, mount: str) -> Login:
    """Return the login by the certificate that the link shows."""

    def login(link: Link) -> Granted:
        cert = link.client().auth.cert
        return _granted(cert.login(name=role or "", use_token=False, mount_point=mount))

    return login


def by_token(file: str) -> Login:
    """Return the login by a token that somebody else makes, and puts into a file."""

    def login(link: Link) -> Granted:
        token = read(file)
        found = link.client(token).auth.token.lookup_self().get("data", {})
        try:
            return Granted(token, float(found["ttl"]), found.get("renewable") is True, own=False)
        except (KeyError, TypeError, ValueError):
            raise Trouble("garbage") from None

    return login


class SecretIds:
    """The secret id of an AppRole, as it lies in its file or wrapped in a token that does.

    A wrapped one is handed out once. So whichever process is first unwraps it, and keeps it in the data folder for the
    others and for the next start, sealed by the keyring and bound to the token that it came from. Another token in the
    file is a new secret id.

    Args:
        file: Where the secret id or the token lies.
        kept: Where an unwrapped one is kept; None takes the file's content for the secret id itself.
        key: 32 bytes, by which that is sealed.
    """

    def __init__(self, file: str, kept: Path | None = None, key: bytes = b"") -> None:
        self._file = file
        self._kept = kept
        self._key = key

    def __call__(self, link: Link) -> str:
        """Return the secret id."""
        found = read(self._file)
        if self._kept is None:
            return found
        try:
            self._kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with locked(self._kept.with_suffix(".lock"), timeout_s=link.left_s()):
                return self._open(found) or self._unwrap(link, found)
        except TimeoutError:
            raise Trouble("slow") from None
        except OSError:
            raise Trouble("login_refused") from None

    def _open(self, token: str) -> str | None:
        assert self._kept is not None, "there is nothing to open otherwise"
        try:
            return unseal(self._key, self._kept.read_bytes(), _bound(token)).decode()
        except (FileNotFoundError, SealBroken):
            return None

    def _unwrap(self, link: Link, token: str) -> str:
        """Trade the token for the secret id, if it is one's and nobody has done so before."""
        assert self._kept is not None, "there is no place for it otherwise"
        try:
            sys = link.client(token).sys
            # Somebody who has read the token and wrapped something else in a new one is noticed here.
            path = link.client().adapter.post("/v1/sys/wrapping/lookup", json={"token": token})["data"]["creation_path"]
            if not str(path).endswith("/secret-id"):
                raise Trouble("login_refused")
            secret_id = str(sys.unwrap()["data"]["secret_id"])
        except (Forbidden, Refused, KeyError, TypeError):
            raise Trouble("login_refused") from None
        keep_privately(self._kept, seal(self._key, secret_id.encode(), _bound(token), nonce=secrets.token_bytes(12)))
        return secret_id


def _bound(token: str) -> bytes:
    return b"billfold vault secret id\0" + token.encode()


def read(file: str) -> str:
    """Return what is in a file now, without the newline that editors leave.

    Raises:
        Trouble: Nothing that a login could show.
    """
    try:
        with Path(file).open("rb") as stream:
            text = stream.read(_LARGEST_BYTES).decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise Trouble("credentials_missing") from None
    if not text or not text.isprintable():
        raise Trouble("credentials_missing")
    return text


def _granted(answer: dict[str, Any]) -> Granted:
    try:
        auth = answer["auth"]
        return Granted(str(auth["client_token"]), float(auth["lease_duration"]), auth.get("renewable") is True)
    except (KeyError, TypeError, ValueError):
        raise Trouble("garbage") from None
