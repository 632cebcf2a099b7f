"""What a sandbox has happen outside of the platform, and how often each was used."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0029_simulations"
VERSION = "1.38.0"
DESCRIPTION = "Simulations of outside events"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    # `until` is on the tenant's clock, `at_last` on the real one: what keeps all out ends though the clock stands.
    """
    CREATE TABLE simulations (
        id uuid PRIMARY KEY,
        kind text NOT NULL CHECK (length(kind) BETWEEN 1 AND 40),
        facts json NOT NULL,
        state text NOT NULL CHECK (state IN ('active', 'used_up', 'cancelled')),
        times integer CHECK (times > 0),
        used integer NOT NULL CHECK (used >= 0),
        until timestamptz,
        at_last timestamptz,
        created_at timestamptz NOT NULL,
        ended_at timestamptz,
        CHECK (times IS NOT NULL OR until IS NOT NULL),
        CHECK ((state = 'active') = (ended_at IS NULL))
    )
    """,
    "CREATE INDEX simulations_under_way ON simulations (kind, id) WHERE state = 'active'",
    # What was dealt with once is dealt with in the same way when it is tried again.
    """
    CREATE TABLE simulation_uses (
        simulation_id uuid NOT NULL REFERENCES simulations (id) ON DELETE CASCADE,
        subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 100),
        PRIMARY KEY (subject, simulation_id)
    )
    """,
)

_GRANTS = {
    "simulations": "SELECT, INSERT, UPDATE (facts, state, used, ended_at)",
    "simulation_uses": "SELECT, INSERT",
}
