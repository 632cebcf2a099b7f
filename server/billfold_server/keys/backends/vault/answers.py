"""What Vault's answers mean. Nothing here holds an address, a token, or what Vault said: all of it could be logged."""

from typing import Any, Final, Literal

import msgspec

from billfold_server.keys.backends import Reason

__all__ = ["REASONS", "Cause", "Forbidden", "NotThere", "Refused", "Trouble", "read_answer"]

Cause = Literal[
    "credentials_missing",
    "failing",
    "forbidden",
    "garbage",
    "key_unfit",
    "login_refused",
    "not_initialized",
    "overloaded",
    "sealed",
    "slow",
    "standby",
    "unreachable",
    "untrusted",
]
"""Why Vault can't be used, as logs and metrics tell those who look after it."""

REASONS: Final[dict[Cause, Reason]] = {
    "credentials_missing": "forbidden",
    "failing": "failing",
    "forbidden": "forbidden",
    "garbage": "failing",
    "key_unfit": "failing",
    "login_refused": "forbidden",
    "not_initialized": "sealed",
    "overloaded": "slow",
    "sealed": "sealed",
    "slow": "slow",
    "standby": "standby",
    "unreachable": "unreachable",
    "untrusted": "failing",
}
"""What clients are told of it, to whom it's all one how we log in."""

_OK: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)
_REFUSALS: Final = range(400, 500)
_FORBIDDEN: Final = frozenset({401, 403})
_NOT_THERE: Final = 404
_CAUSES: Final[dict[int, Cause]] = {
    # A standby that lags behind what was written before.
    412: "standby",
    429: "overloaded",
    472: "standby",
    473: "standby",
    501: "not_initialized",
    503: "sealed",
}


class Trouble(Exception):
    """Vault can't be used at the moment, whoever asks for whatever."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause)
        self.cause: Cause = cause


class Forbidden(Exception):
    """The token isn't good, or its policies don't allow this."""


class Refused(Exception):
    """Vault understood, and said no: what was asked for is wrong."""


class NotThere(Refused):
    """There is nothing at this path."""


def read_answer(status: int, body: bytes) -> dict[str, Any]:
    """Return what Vault answered.

    Args:
        status: HTTP's.
        body: As it came.

    Raises:
        Trouble: It can't be used, or something else than Vault answered.
        Forbidden: The token may not.
        Refused: What was asked for is wrong.
    """
    document = _document(body)
    if status in _OK:
        if document is None:
            raise Trouble("garbage")
        return document
    if status in _REDIRECTS:
        # A standby that doesn't hand requests on. Who follows would show the token to whatever it names.
        raise Trouble("standby")
    if status in _CAUSES:
        raise Trouble(_CAUSES[status])
    if status in _FORBIDDEN:
        raise Forbidden
    if status not in _REFUSALS:
        raise Trouble("failing")
    if document is not None and _is_batch(document):
        # A batch of which some items were refused is answered as if all were.
        return document
    if document is None or "errors" not in document:
        raise Trouble("garbage")
    raise NotThere if status == _NOT_THERE else Refused


def _document(body: bytes) -> dict[str, Any] | None:
    """Return a JSON object; None for anything else."""
    if not body:
        return {}
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return document if isinstance(document, dict) else None


def _is_batch(document: dict[str, Any]) -> bool:
    data = document.get("data")
    return isinstance(data, dict) and isinstance(data.get("batch_results"), list)
