"""With what a partner's command ends when it can't do its work: a sentence, an exit code, and the facts for programs.

The codes are those of BSD's ``sysexits.h`` that the server's commands end with too, so a script needs one table alone.
"""

import enum
import functools

from billfold import errors

__all__ = ["Exit", "Failure", "again", "explain"]


class Exit(enum.IntEnum):
    """With what a command exits."""

    OK = 0
    REFUSED = 1
    """The server understood and refused, where it was given many orders at once every one of them."""
    USAGE = 2
    """The command line is wrong."""
    UNAVAILABLE = 69
    """The server is away, or an extra isn't installed."""
    INTERNAL = 70
    """A mistake of ours; BILLFOLD_DEBUG=1 shows where."""
    IO = 74
    """What was to be read or written can't be: a file isn't there, the disk for the output is full."""
    TRY_AGAIN = 75
    """Too many requests, or an outcome that isn't known; the command may be given again, an order with the key that is
    told."""
    NOT_ALLOWED = 77
    """The credentials aren't valid, or don't suffice."""
    SETTINGS = 78
    """Nobody is logged in, or a profile is wrong."""


class Failure(Exception):
    """A command can't go on.

    Attributes:
        code: Stable, machine-readable name of what happened.
        sentence: What is wrong and what to do, for people.
        exit_code: With what the process ends.
        facts: Details for programs, by name.
    """

    def __init__(self, code: str, sentence: str, exit_code: Exit, **facts: errors.Fact) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.exit_code = exit_code
        self.facts = facts

    def document(self) -> dict[str, object]:
        """Return it as ``--json`` shows it."""
        return {"code": self.code, "detail": self.sentence, "exit_code": int(self.exit_code), "facts": self.facts}


@functools.singledispatch
def explain(error: BaseException) -> Failure:
    """Return the failure that an exception means; one that nobody foresaw is a mistake of ours."""
    return Failure(
        "internal_error",
        f"Billfold made a mistake ({type(error).__name__}: {error}); "
        "run it again with BILLFOLD_DEBUG=1 and report what it shows.",
        Exit.INTERNAL,
    )


@explain.register
def _(error: Failure) -> Failure:
    return error


@explain.register
def _(error: errors.ProblemError) -> Failure:
    violations = [f"{each.param}: {each.reason}" for each in error.violations]
    # Where one value alone is wrong, the detail is about that.
    lines = [error.detail, *(f"  {each}" for each in violations if each != error.detail)]
    facts = {**error.facts, "param": error.param, "request_id": error.request_id, "status": error.status}
    unsettled = error.in_doubt or error.is_foreign or isinstance(error, errors.ApprovalRequired)
    if (key := error.idempotency_key) is not None and unsettled:
        lines.append(again(key))
        facts["idempotency_key"] = key
    told = {name: value for name, value in facts.items() if value is not None}
    return Failure(error.code, "\n".join(lines), _exit_code(error), **told)


def _exit_code(error: errors.ProblemError) -> Exit:
    if isinstance(error, errors.AuthenticationFailed | errors.PermissionDenied):
        return Exit.NOT_ALLOWED
    if isinstance(error, errors.RateLimited | errors.OutcomeUnknown | errors.RequestInFlight | errors.InternalError):
        return Exit.TRY_AGAIN
    return Exit.UNAVAILABLE if isinstance(error, errors.Unavailable) else Exit.REFUSED


def again(key: str) -> str:
    """Return how an order is given again of which nobody here knows whether it was carried out."""
    return f"To see what has become of it, give the same command with --idempotency-key {key}: it is done once."


@explain.register
def _(error: errors.TransportError) -> Failure:
    sentence = f"The server didn't answer: {error}."
    if not error.sent:
        return Failure("not_reached", sentence, Exit.UNAVAILABLE)
    if (key := error.idempotency_key) is None:
        return Failure("no_answer", sentence, Exit.UNAVAILABLE)
    return Failure("no_answer", f"{sentence}\n{again(key)}", Exit.UNAVAILABLE, idempotency_key=key)


@explain.register
def _(error: errors.BillfoldError) -> Failure:
    return Failure("refused", f"{error}", Exit.NOT_ALLOWED)


@explain.register
def _(error: OSError) -> Failure:
    # What goes wrong between us and the server has been told by another name.
    why = error.strerror or type(error).__name__
    if error.filename is None:
        return Failure("io_failed", f"Reading or writing failed ({why}).", Exit.IO)
    return Failure("io_failed", f"{error.filename} can't be read or written ({why}).", Exit.IO)


@explain.register(ValueError)
@explain.register(TypeError)
def _(error: Exception) -> Failure:
    # What the SDK's methods raise before they ask anything.
    return Failure("usage", f"{error}", Exit.USAGE)
