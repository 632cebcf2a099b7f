"""What a command ends with when it can't do its work: one sentence that says what to do, and an exit code.

The codes are those of BSD's ``sysexits.h``, so that a supervisor (systemd's ``RestartPreventExitStatus=``) can tell
what waiting may mend from what a person must change. The foreseeable never ends in a traceback.
"""

import enum

from billfold.errors import Fact

__all__ = ["Exit", "Failure", "too_many_connections"]


class Exit(enum.IntEnum):
    """With what a command exits."""

    OK = 0
    REFUSED = 1
    """The command was understood and refused: no such tenant, a check that failed."""
    USAGE = 2
    """The command line is wrong; click says how."""
    BAD_DATA = 65
    """Data can't be read: made by another major version of PostgreSQL, or damaged."""
    UNAVAILABLE = 69
    """Something that is needed is away: the database, an extra that isn't installed."""
    INTERNAL = 70
    """A mistake of ours; BILLFOLD_DEBUG=1 shows where."""
    PORT = 71
    """The address can't be listened on."""
    DATA_DIR = 73
    """The data folder can't be made or written to, or its disk is full."""
    IO = 74
    """What was to be read or written can't be: the disk for the output is full."""
    TRY_AGAIN = 75
    """Another process is in the way, and may be gone soon: a second server on one data folder."""
    NOT_ALLOWED = 77
    """The operating system or the database refuses for lack of a right."""
    SETTINGS = 78
    """A setting is wrong, or doesn't fit the database."""


class Failure(Exception):
    """A command can't go on.

    Attributes:
        code: Stable, machine-readable name of what happened.
        sentence: What is wrong and what to do, for people.
        exit_code: With what the process ends.
        facts: Details for programs, by name.
    """

    def __init__(self, code: str, sentence: str, exit_code: Exit, **facts: Fact) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.exit_code = exit_code
        self.facts = facts

    def document(self) -> dict[str, object]:
        """Return it as ``--json`` shows it."""
        return {"code": self.code, "detail": self.sentence, "exit_code": int(self.exit_code), "facts": self.facts}


def too_many_connections() -> Failure:
    """Return the failure of a database whose connections are all taken."""
    return Failure(
        "database_full",
        "The database accepts no further connection: end some of its clients, or raise its max_connections.",
        Exit.UNAVAILABLE,
    )
