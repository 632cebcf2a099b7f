"""What a client has that has registered itself (RFC 7591, section 3.2.1; RFC 7592, section 3)."""

from collections.abc import Mapping
from typing import Any, Final, Self

import msgspec

from billfold import errors

__all__ = ["Registered", "read_registration", "registration_body"]

_DECIDED: Final = frozenset(
    {"client_secret", "client_secret_expires_at", "client_id_issued_at", "registration_client_uri"}
)


class Registered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A registration: keep it, with ``dump``, in a safe place. It is what the client is known by.

    Attributes:
        client_id: The client's id.
        registration_client_uri: Where the registration is read, changed and ended.
        registration_access_token: What shows that it is ours. A secret.
        client_secret: The client's secret, where it has one.
        metadata: All that is registered, by the names of RFC 7591.
    """

    client_id: str
    registration_client_uri: str
    registration_access_token: str
    client_secret: str | None = None
    metadata: dict[str, Any] = {}

    def dump(self) -> str:
        """Return it as text, to be kept."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def load(cls, text: str | bytes) -> Self:
        """Return what ``dump`` has written.

        Raises:
            ValueError: It isn't that.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise ValueError("this is no registration") from None

    def __repr__(self) -> str:
        return f"Registered(client_id={self.client_id!r}, …)"


class _Answer(msgspec.Struct):
    client_id: str
    registration_client_uri: str | None = None
    registration_access_token: str | None = None
    client_secret: str | None = None


def read_registration(body: bytes, before: Registered | None = None) -> Registered:
    """Return what the server has registered; what it doesn't say anew stays as it was.

    Raises:
        errors.MalformedAnswer: It isn't a client information response, or can't be looked after later.
    """
    try:
        answer = msgspec.json.decode(body, type=_Answer)
        metadata = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise errors.MalformedAnswer("the answer isn't a client information response") from None
    uri = answer.registration_client_uri or (None if before is None else before.registration_client_uri)
    token = answer.registration_access_token or (None if before is None else before.registration_access_token)
    if uri is None or token is None:
        raise errors.MalformedAnswer("the answer doesn't say how the registration is looked after")
    secret = answer.client_secret or (None if before is None else before.client_secret)
    known = {name: value for name, value in metadata.items() if name not in _DECIDED | {"registration_access_token"}}
    return Registered(
        client_id=answer.client_id,
        registration_client_uri=uri,
        registration_access_token=token,
        client_secret=secret,
        metadata=known,
    )


def registration_body(metadata: Mapping[str, Any]) -> bytes:
    """Return what is asked for as it goes over the wire; what is None is left out."""
    return msgspec.json.encode({name: value for name, value in metadata.items() if value is not None})
