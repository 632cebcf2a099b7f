"""What one operator asks for another one, and a second must ask for as well."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "platform_0010_operator_requests"
VERSION = "1.38.0"
DESCRIPTION = "Access of operators, which takes two of them"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="platform", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    # That nobody asks for themselves is said here, too.
    """
    CREATE TABLE operator_requests (
        user_id uuid NOT NULL REFERENCES users (id),
        what text NOT NULL CHECK (what IN ('enrolment', 'return')),
        asked_by uuid NOT NULL REFERENCES users (id) CHECK (asked_by <> user_id),
        asked_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        PRIMARY KEY (user_id, what)
    )
    """,
)

_GRANTS = {"operator_requests": "SELECT, INSERT, UPDATE (asked_by, asked_at, expires_at), DELETE"}
