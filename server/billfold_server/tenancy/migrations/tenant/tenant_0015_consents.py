"""Consents: what customers allow licensed third parties, with their history, evidence and use."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0015_consents"
VERSION = "1.38.0"
DESCRIPTION = "Consents, their history, evidence and use"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    # Times are on the tenant's clock. Who has allowed it is known exactly where it was allowed once.
    """
    CREATE TABLE consents (
        id uuid PRIMARY KEY,
        kind text NOT NULL
            CHECK (kind IN ('account_access', 'funds_confirmation', 'domestic_payment', 'domestic_vrp')),
        client_id uuid NOT NULL,
        status text NOT NULL CHECK (status IN ('AWAU', 'AUTH', 'RJCT', 'COND', 'CANC', 'EXPD')),
        status_reason text CHECK (length(status_reason) <= 500),
        ended_by text CHECK (ended_by IN ('psu', 'tpp', 'staff', 'system', 'token')),
        created_at timestamptz NOT NULL,
        status_updated_at timestamptz NOT NULL,
        expires_at timestamptz,
        ends_at timestamptz NOT NULL,
        ended_at timestamptz,
        authorised_at timestamptz,
        reauthenticate_by timestamptz,
        permissions text[] NOT NULL,
        transactions_from timestamptz,
        transactions_to timestamptz,
        party_id uuid REFERENCES parties (id),
        user_id uuid,
        wallet_ids uuid[] NOT NULL DEFAULT '{}',
        sca_id uuid,
        amount_minor bigint CHECK (amount_minor > 0),
        currency text CHECK (length(currency) = 3),
        terms json NOT NULL CHECK (json_typeof(terms) = 'object'),
        request_sealed bytea NOT NULL,
        request_digest bytea NOT NULL CHECK (octet_length(request_digest) = 32),
        version integer NOT NULL CHECK (version > 0),
        CHECK ((amount_minor IS NULL) = (currency IS NULL)),
        CHECK ((status IN ('AWAU', 'AUTH')) = (ended_at IS NULL)),
        CHECK (status NOT IN ('AUTH', 'COND') OR (authorised_at IS NOT NULL AND party_id IS NOT NULL)),
        CHECK (kind = 'domestic_payment' OR status <> 'COND'),
        CHECK (kind <> 'domestic_payment' OR status NOT IN ('CANC', 'EXPD'))
    )
    """,
    "CREATE INDEX consents_of_clients ON consents (client_id, id)",
    "CREATE INDEX consents_of_parties ON consents (party_id, id) WHERE party_id IS NOT NULL",
    "CREATE INDEX consents_that_stand ON consents (id) WHERE ended_at IS NULL",
    "CREATE INDEX consents_that_ended ON consents (ended_at) WHERE ended_at IS NOT NULL",
    # Every step, and every step that was refused; of those of one kind there is one row, which counts.
    """
    CREATE TABLE consent_history (
        id uuid PRIMARY KEY,
        consent_id uuid NOT NULL REFERENCES consents (id) ON DELETE CASCADE,
        event text NOT NULL,
        from_status text,
        to_status text,
        done_by text NOT NULL CHECK (done_by IN ('psu', 'tpp', 'staff', 'system', 'token')),
        actor text NOT NULL,
        reason text CHECK (length(reason) <= 500),
        request_id text,
        happened_at timestamptz NOT NULL,
        last_at timestamptz NOT NULL,
        times bigint NOT NULL DEFAULT 1 CHECK (times > 0)
    )
    """,
    "CREATE INDEX consent_history_of_consents ON consent_history (consent_id, id)",
    """
    CREATE UNIQUE INDEX consent_history_refused ON consent_history (consent_id, event, from_status, done_by)
        WHERE to_status IS NULL
    """,
    # A link stays when what it vouches for is gone: the commitment is salted, and the salt is gone with it.
    """
    CREATE TABLE consent_evidence (
        id uuid PRIMARY KEY,
        number bigint NOT NULL UNIQUE CHECK (number > 0),
        consent_id uuid NOT NULL,
        sealed bytea,
        commitment bytea NOT NULL CHECK (octet_length(commitment) = 32),
        digest bytea NOT NULL CHECK (octet_length(digest) = 32),
        recorded_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX consent_evidence_of_consents ON consent_evidence (consent_id)",
    """
    CREATE TABLE consent_evidence_head (
        id smallint PRIMARY KEY CHECK (id = 1),
        number bigint NOT NULL,
        digest bytea NOT NULL
    )
    """,
    "INSERT INTO consent_evidence_head (id, number, digest) VALUES (1, 0, decode(repeat('00', 32), 'hex'))",
    """
    CREATE TABLE consent_uses (
        consent_id uuid NOT NULL REFERENCES consents (id) ON DELETE CASCADE,
        hour timestamptz NOT NULL,
        operation text NOT NULL,
        times bigint NOT NULL CHECK (times > 0),
        last_at timestamptz NOT NULL,
        PRIMARY KEY (consent_id, hour, operation)
    )
    """,
    """
    CREATE TABLE blocked_third_parties (
        client_id uuid PRIMARY KEY,
        reason text NOT NULL CHECK (length(reason) <= 500),
        blocked_by text NOT NULL,
        blocked_at timestamptz NOT NULL
    )
    """,
)

_GRANTS = {
    # What was asked for is settled when it is asked; only that it names somebody can be taken out of it.
    "consents": "SELECT, INSERT, DELETE, UPDATE (status, status_reason, ended_by, status_updated_at, ends_at, "
    "ended_at, authorised_at, reauthenticate_by, party_id, user_id, wallet_ids, sca_id, request_sealed, version)",
    "consent_history": "SELECT, INSERT, DELETE, UPDATE (reason, last_at, times)",
    "consent_evidence": "SELECT, INSERT, UPDATE (sealed)",
    "consent_evidence_head": "SELECT, UPDATE (number, digest)",
    "consent_uses": "SELECT, INSERT, DELETE, UPDATE (times, last_at)",
    "blocked_third_parties": "SELECT, INSERT, DELETE",
}
