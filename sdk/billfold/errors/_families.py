"""The roots of the tree of errors: what isn't an answer, and the families of answers that say no."""

import functools
from typing import TYPE_CHECKING, Any, ClassVar, Final, get_args, get_type_hints

if TYPE_CHECKING:
    from billfold.contract.common import Violation

__all__ = [
    "ERRORS",
    "AuthenticationFailed",
    "BillfoldError",
    "Conflict",
    "ConnectionFailed",
    "Fact",
    "InvalidRequest",
    "MalformedAnswer",
    "NotFound",
    "PermissionDenied",
    "PreconditionFailed",
    "ProblemError",
    "RateLimited",
    "TimedOut",
    "TransportError",
    "Unavailable",
    "Unprocessable",
]

Fact = str | int | bool | None
"""What a fact about an error may be: small, plain and free of personal data."""

ERRORS: Final[dict[str, "type[ProblemError]"]] = {}
"""The registry: each stable code with its class."""


class BillfoldError(Exception):
    """The root of everything that Billfold raises on purpose.

    Attributes:
        idempotency_key: Under which key the order went out that ended so, the caller's or the one that the SDK has
            made; None of anything else. Given to the same order again, it books nothing twice.
    """

    idempotency_key: str | None = None

    @property
    def in_doubt(self) -> bool:
        """Tell whether an order that ended so may have been carried out all the same.

        Then it is given again under the same ``idempotency_key``, never under another one; where it is False, it was
        not carried out. One that waits for somebody's approval (``ApprovalRequired``) wasn't yet, and may be later.
        """
        return False


class TransportError(BillfoldError):
    """The server's answer didn't arrive, so the outcome of the request is unknown, unless it was never sent.

    Attributes:
        sent: Whether the request may have reached the server; False where it is certain that no attempt has.
    """

    sent: bool

    def __init__(self, *args: object, sent: bool = True) -> None:
        super().__init__(*args)
        self.sent = sent

    @property
    def in_doubt(self) -> bool:
        """Tell whether an order that ended so may have been carried out: it may have been sent."""
        return self.sent


class ConnectionFailed(TransportError):
    """No connection could be made, or it broke."""


class TimedOut(TransportError):
    """The answer didn't come within the time-out."""


class MalformedAnswer(TransportError):
    """Something answered, but not in the words of Billfold's contract."""


_TROUBLES: Final = 500
"""From here on a status tells of troubles of whoever answers."""

_LOST: Final = frozenset({_TROUBLES, 502, 504})
"""The server broke over the request, or a proxy said that it doesn't know."""


@functools.cache
def _may_be_untold(cls: type["ProblemError"], name: str) -> bool:
    """Tell whether a class declares a fact as one that may be None."""
    return type(None) in get_args(get_type_hints(cls).get(name))


class ProblemError(BillfoldError):
    """A refusal with a stable code.

    Attributes:
        code: Stable, machine-readable name of the problem.
        title: What the code means, the same at each occurrence.
        detail: What happened this time; holds no secret and no personal data.
        param: The field, header or parameter that is to blame, where there is one.
        facts: Details for programs, by name; each that a class declares is an attribute of it, too.
        request_id: The request in which it happened, where it came over the network.
        status: The HTTP status under which it came, where it came over the network.
        violations: Every value that isn't of the documented form, each with ``param`` and ``reason``, where the server
            lists them.
        is_foreign: Whether something else than Billfold has answered, such as a proxy before it, which may not know
            what has become of the request.
        sent: Whether the request itself may have been refused; False where no access token was to be had for it.
        oauth_error: OAuth's own name of the refusal (RFC 6749, section 5.2), where an authorization server has said it.
    """

    code: ClassVar[str] = "problem"
    title: ClassVar[str] = "The request was refused"
    _in_doubt: ClassVar[bool] = False
    """Whether it says that nobody knows what has become of an order."""
    oauth_error: str | None

    def __init__(self, detail: str | None = None, *, param: str | None = None, **facts: Fact) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.param = param
        self.facts = facts
        self.request_id: str | None = None
        self.status: int | None = None
        self.violations: tuple[Violation, ...] = ()
        self.is_foreign = False
        self.sent = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Enter the class into the registry under its code."""
        super().__init_subclass__(**kwargs)
        if "code" in cls.__dict__:
            if cls.code in ERRORS:
                msg = f"two errors share the code {cls.code}"
                raise TypeError(msg)
            ERRORS[cls.code] = cls

    @property
    def in_doubt(self) -> bool:
        """Tell whether an order that ended so may have been carried out: who answered doesn't know, or broke over it.

        A proxy doesn't know what the server has done. Some of them, such as Envoy, say 503 also where the server's
        connection broke while it was at work, and others have numbers of their own for that, such as 520 and 524.
        """
        if not self.sent:
            return False
        if self._in_doubt or self.status in _LOST:
            return True
        return self.is_foreign and self.status is not None and self.status >= _TROUBLES

    if not TYPE_CHECKING:
        # Hidden from whoever checks types, so that a misspelt fact is told.

        def __getattr__(self, name: str) -> Fact:
            """Return a fact by its name; None where it wasn't told, and is declared as one that may not be."""
            facts = self.__dict__.get("facts", {})
            if name not in facts and not _may_be_untold(type(self), name):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
            return facts.get(name)

    def __reduce__(self) -> tuple[Any, ...]:
        """Let the error cross a process boundary with its facts, and with a code that its class doesn't know."""
        return (_rebuild, (type(self), self.__dict__))


def _rebuild(cls: type[ProblemError], attributes: dict[str, Any]) -> ProblemError:
    error = cls(attributes["detail"])
    error.__dict__.update(attributes)
    return error


# The families. Each has a code of its own, for the cases that no narrower class names.


class InvalidRequest(ProblemError):
    """The request itself is wrong; sending it again won't help."""

    code, title = "invalid_request", "The request is not valid"


class AuthenticationFailed(ProblemError):
    """It isn't established who is asking."""

    code, title = "authentication_failed", "The caller is not authenticated"


class PermissionDenied(ProblemError):
    """Who is asking may not do this."""

    code, title = "permission_denied", "The caller may not do this"


class NotFound(ProblemError):
    """There is no such thing, or not for this caller."""

    code, title = "not_found", "There is no such resource"


class Conflict(ProblemError):
    """The state of things refuses the request."""

    code, title = "conflict", "The present state refuses the request"


class PreconditionFailed(ProblemError):
    """The object has changed since the caller read it."""

    code, title = "precondition_failed", "The resource has changed since it was read"


class Unprocessable(ProblemError):
    """The request is well-formed, but it contradicts something."""

    code, title = "unprocessable", "The request can't be carried out as it stands"


class RateLimited(ProblemError):
    """Too much at once. ``retry_after_s`` says when to come back; None where a proxy has answered, and doesn't."""

    code, title = "rate_limited", "Too many requests"
    retry_after_s: int | None


class Unavailable(ProblemError):
    """Billfold, or what it leans on, is away for now. ``retry_after_s`` says when to come back.

    It is None where a proxy has answered, and doesn't.
    """

    code, title = "unavailable", "The service is not available at the moment"
    retry_after_s: int | None
