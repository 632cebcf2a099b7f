"""The roots of the tree of errors: what isn't an answer, and the families of answers that say no."""

from typing import Any, ClassVar, Final

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


class TransportError(BillfoldError):
    """The server's answer didn't arrive, so the outcome of the request is unknown, unless it was never sent.

    Attributes:
        sent: Whether the request may have reached the server; False where it is certain that no attempt has.
    """

    sent: bool

    def __init__(self, *args: object, sent: bool = True) -> None:
        super().__init__(*args)
        self.sent = sent


class ConnectionFailed(TransportError):
    """No connection could be made, or it broke."""


class TimedOut(TransportError):
    """The answer didn't come within the time-out."""


class MalformedAnswer(TransportError):
    """Something answered, but not in the words of Billfold's contract."""


class ProblemError(BillfoldError):
    """A refusal with a stable code.

    Attributes:
        code: Stable, machine-readable name of the problem.
        title: What the code means, the same at each occurrence.
        detail: What happened this time; holds no secret and no personal data.
        param: The field, header or parameter that is to blame, where there is one.
        facts: Details for programs, by name; each is an attribute too.
        request_id: The request in which it happened, where it came over the network.
        status: The HTTP status under which it came, where it came over the network.
        violations: Every value that isn't of the documented form, each with ``param`` and ``reason``, where the server
            lists them.
        is_foreign: Whether something else than Billfold has answered, such as a proxy before it, which may not know
            what has become of the request.
    """

    code: ClassVar[str] = "problem"
    title: ClassVar[str] = "The request was refused"

    def __init__(self, detail: str | None = None, *, param: str | None = None, **facts: Fact) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.param = param
        self.facts = facts
        self.request_id: str | None = None
        self.status: int | None = None
        self.violations: tuple[Any, ...] = ()
        self.is_foreign = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Enter the class into the registry under its code."""
        super().__init_subclass__(**kwargs)
        if "code" in cls.__dict__:
            if cls.code in ERRORS:
                msg = f"two errors share the code {cls.code}"
                raise TypeError(msg)
            ERRORS[cls.code] = cls

    def __getattr__(self, name: str) -> Fact:
        """Return a fact by its name."""
        try:
            return self.__dict__["facts"][name]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(name) from None

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
    """Too much at once. ``retry_after_s`` says when to come back."""

    code, title = "rate_limited", "Too many requests"
    retry_after_s: int


class Unavailable(ProblemError):
    """Billfold, or what it leans on, is away for now. ``retry_after_s`` says when to come back."""

    code, title = "unavailable", "The service is not available at the moment"
    retry_after_s: int
