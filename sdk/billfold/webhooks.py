"""Tells whether what arrives at a webhook endpoint was sent by the bank, and what it says.

::

    from billfold import webhooks

    event = webhooks.verify(request.body, request.headers, "whsec_…")
    if event.type == "transfer.posted":
        ...

The signatures are those of Standard Webhooks, version 1: ``v1`` by the endpoint's secret (HMAC-SHA-256), and ``v1a`` by
its Ed25519 key, of which the receiver has the public half alone. The same event may arrive more than once, and not
always in order: ``event.id`` says that it is the same, ``event.sequence`` where it belongs.

Whatever isn't a delivery is refused by one tree of errors::

    WebhookRefused
    ├── WebhookHeadersInvalid       headers are missing, or not of their form
    ├── WebhookTimestampRefused     sent too long ago, or in the future
    ├── WebhookSignatureInvalid     none of its signatures is by any of the secrets
    └── WebhookBodyInvalid          signed, and no event all the same
"""

import base64
import binascii
import hmac
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from billfold import errors
from billfold.client._open import decoder
from billfold.contract.platform import Event

__all__ = [
    "WebhookBodyInvalid",
    "WebhookHeadersInvalid",
    "WebhookRefused",
    "WebhookSignatureInvalid",
    "WebhookTimestampRefused",
    "verify",
]

_SECRET: Final = "whsec_"  # noqa: S105 - What every secret begins with.
_PUBLIC: Final = "whpk_"
_KEY_BYTES: Final = 32
_ID: Final = re.compile(r"[!-~]{1,255}", re.ASCII)
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
_MOST_SIGNATURES: Final = 20

_read = decoder(Event)


class WebhookRefused(errors.BillfoldError):
    """A request to a webhook endpoint isn't a delivery that may be believed.

    Attributes:
        code: Stable name of what is wrong with it.
    """

    code: ClassVar[str] = "webhook_refused"


class WebhookHeadersInvalid(WebhookRefused):
    """A header is missing, or not of its form.

    Attributes:
        header: Which one.
    """

    code = "webhook_headers_invalid"

    def __init__(self, header: str) -> None:
        super().__init__(f"the header {header} is missing, or isn't of its form")
        self.header = header

    def __reduce__(self) -> tuple[Any, ...]:
        """Let the error cross a process boundary."""
        return type(self), (self.header,)


class WebhookTimestampRefused(WebhookRefused):
    """It was sent too long ago, or in the future: somebody may have kept it, or a clock is wrong.

    Attributes:
        age_s: How many seconds ago; negative in the future.
    """

    code = "webhook_timestamp_refused"

    def __init__(self, age_s: int) -> None:
        when = f"{age_s} seconds ago" if age_s >= 0 else f"{-age_s} seconds in the future"
        super().__init__(f"the delivery was sent {when}, which is more than may be; see this machine's clock")
        self.age_s = age_s

    def __reduce__(self) -> tuple[Any, ...]:
        """Let the error cross a process boundary."""
        return type(self), (self.age_s,)


class WebhookSignatureInvalid(WebhookRefused):
    """None of its signatures was made by any of the secrets or keys."""

    code = "webhook_signature_invalid"

    def __init__(self) -> None:
        super().__init__(
            "none of the signatures is by this endpoint's secrets or keys over this body; it is verified as it came in"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Let the error cross a process boundary."""
        return type(self), ()


class WebhookBodyInvalid(WebhookRefused):
    """It was signed as it should be, but isn't an event in the words of Billfold's contract."""

    code = "webhook_body_invalid"

    def __init__(self, why: str) -> None:
        super().__init__(f"the delivery is signed, but is no event in the words of the contract{why}")
        self._why = why

    def __reduce__(self) -> tuple[Any, ...]:
        """Let the error cross a process boundary."""
        return type(self), (self._why,)


def verify(
    body: bytes | str,
    headers: Mapping[str, str],
    secrets: str | Iterable[str],
    tolerance_s: int = 300,
    *,
    now_s: int | None = None,
) -> Event:
    """Return the event that was delivered, if it was signed by one of some secrets, and lately.

    Args:
        body: The request's body as it came in, before anything has parsed it.
        headers: Its headers; upper and lower case don't matter.
        secrets: The endpoint's secret (``whsec_…``) or public key (``whpk_…``), or several, as while one is replaced.
        tolerance_s: How many seconds its time may be off, in the past and in the future.
        now_s: The time in seconds since 1970; the machine's where absent.

    Raises:
        WebhookRefused: It isn't a delivery that may be believed; the classes below say why.
        TypeError: The body isn't what came in, but what has been made of it, such as a dict.
        ValueError: No secret is given, or one is neither of the two.
    """
    if not isinstance(body, bytes | bytearray | memoryview | str):
        raise TypeError(f"a delivery is verified by the bytes that came in, and not by a {type(body).__name__}")
    keys = [_key(each) for each in ([secrets] if isinstance(secrets, str) else secrets)]
    if not keys:
        raise ValueError("there is no secret to verify by")
    raw = body.encode() if isinstance(body, str) else bytes(body)
    said = {name.lower(): value for name, value in headers.items()}
    message_id = _header(said, "webhook-id", _ID)
    timestamp = _header(said, "webhook-timestamp", _TIMESTAMP)
    signatures = _signatures(said)
    age_s = (int(time.time()) if now_s is None else now_s) - int(timestamp)
    if abs(age_s) > tolerance_s:
        raise WebhookTimestampRefused(age_s)
    content = b".".join((message_id.encode(), timestamp.encode(), raw))
    if not any(_signed_by(is_secret, key, content, signatures) for is_secret, key in keys):
        raise WebhookSignatureInvalid
    try:
        event: Event = _read(raw)
    except errors.MalformedAnswer as error:
        why = str(error).partition(": ")[2]
        # In quotes stands what was delivered, which may be personal.
        raise WebhookBodyInvalid(f": {why}" if why and "'" not in why else "") from None
    return event


def _key(text: str) -> tuple[bool, bytes]:
    """Return whether a text is a secret, and not a public key, and its bytes."""
    is_secret = text.startswith(_SECRET)
    key = _decoded(text.partition("_")[2])
    if not key or not (is_secret or (text.startswith(_PUBLIC) and len(key) == _KEY_BYTES)):
        raise ValueError("a webhook's secret begins with whsec_, its public key with whpk_")
    return is_secret, key


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None


def _header(said: Mapping[str, str], name: str, form: "re.Pattern[str]") -> str:
    value = said.get(name, "")
    if not form.fullmatch(value):
        raise WebhookHeadersInvalid(name)
    return value


def _signatures(said: Mapping[str, str]) -> list[tuple[str, bytes]]:
    """Return the signatures that there are, each with its version; what isn't one is passed over."""
    found = []
    for each in said.get("webhook-signature", "").split(" ")[:_MOST_SIGNATURES]:
        version, _, text = each.partition(",")
        if text and (signature := _decoded(text)):
            found.append((version, signature))
    if not found:
        raise WebhookHeadersInvalid("webhook-signature")
    return found


def _signed_by(is_secret: bool, key: bytes, content: bytes, signatures: list[tuple[str, bytes]]) -> bool:  # noqa: FBT001
    if is_secret:
        expected = hmac.digest(key, content, "sha256")
        return any(hmac.compare_digest(expected, each) for version, each in signatures if version == "v1")
    return any(_is_by(key, content, each) for version, each in signatures if version == "v1a")


def _is_by(public_key: bytes, content: bytes, signature: bytes) -> bool:
    # Whoever verifies by a secret doesn't load this.
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, content)
    except InvalidSignature:
        return False
    return True
