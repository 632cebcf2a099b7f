"""The tables of people, which a tenant and the platform have alike; only a tenant's payment service users are parties.

Of what opens anything, such as a session's cookie, only a digest is kept; a TOTP secret is sealed by the tenant's key
and bound to its row.
"""

__all__ = ["grants", "statements"]

_USERS = """
CREATE TABLE users (
    id uuid PRIMARY KEY,
    login_realm text NOT NULL CHECK (login_realm IN ({realms})),
    login_name text COLLATE "C" NOT NULL CHECK (length(login_name) BETWEEN 3 AND 254),
    display_name text NOT NULL CHECK (length(display_name) BETWEEN 1 AND 200),
    {party}
    language text CHECK (length(language) BETWEEN 2 AND 35),
    roles text[] NOT NULL,
    state text NOT NULL CHECK (state IN ('invited', 'active', 'disabled')),
    handle bytea NOT NULL UNIQUE CHECK (length(handle) = 32),
    password_hash text,
    password_changed_at timestamptz,
    last_sign_in_at timestamptz,
    version integer NOT NULL CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (login_realm, login_name),
    CHECK ((password_hash IS NULL) = (password_changed_at IS NULL))
)
"""
_PARTY = "party_id uuid REFERENCES parties (id), CHECK ((login_realm = 'psu') = (party_id IS NOT NULL)),"
_NO_PARTY = "party_id uuid CHECK (party_id IS NULL),"

_FACTORS = """
CREATE TABLE factors (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id),
    kind text NOT NULL CHECK (kind IN ('totp', 'passkey')),
    label text NOT NULL CHECK (length(label) BETWEEN 1 AND 100),
    state text NOT NULL CHECK (state IN ('active', 'suspended')),
    sealed_secret bytea,
    last_step bigint,
    credential_id bytea UNIQUE CHECK (length(credential_id) BETWEEN 1 AND 1023),
    public_key bytea,
    sign_count bigint CHECK (sign_count >= 0),
    rp_id text,
    transports text[],
    backed_up boolean,
    good_from timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    last_used_at timestamptz,
    CHECK ((kind = 'totp') = (sealed_secret IS NOT NULL)),
    CHECK ((kind = 'totp') = (last_step IS NOT NULL)),
    CHECK ((kind = 'passkey') = (credential_id IS NOT NULL)),
    CHECK ((kind = 'passkey') = (public_key IS NOT NULL)),
    CHECK ((kind = 'passkey') = (sign_count IS NOT NULL)),
    CHECK ((kind = 'passkey') = (rp_id IS NOT NULL))
)
"""

_RECOVERY_CODES = """
CREATE TABLE recovery_codes (
    user_id uuid NOT NULL REFERENCES users (id),
    digest bytea NOT NULL CHECK (length(digest) = 32),
    created_at timestamptz NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (user_id, digest)
)
"""

_SESSIONS = """
CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    digest bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    user_id uuid NOT NULL REFERENCES users (id),
    stage text NOT NULL CHECK (stage IN ('enrolling', 'signed_in')),
    amr text[] NOT NULL,
    acr text NOT NULL,
    factor_ids uuid[] NOT NULL,
    new_password_hash text CHECK (stage = 'enrolling' OR new_password_hash IS NULL),
    auth_time timestamptz NOT NULL,
    confirmed_at timestamptz,
    last_seen_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    ended_at timestamptz,
    end_reason text CHECK (length(end_reason) BETWEEN 1 AND 100),
    device text NOT NULL CHECK (length(device) <= 100),
    created_at timestamptz NOT NULL,
    CHECK ((ended_at IS NULL) = (end_reason IS NULL))
)
"""

_ENROLMENT_CODES = """
CREATE TABLE enrolment_codes (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id),
    digest bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
)
"""

# Counted by keyed digests of the name that was typed and of where it came from, whether or not there is such a person.
_SIGN_IN_FAILURES = """
CREATE TABLE sign_in_failures (
    account bytea NOT NULL CHECK (length(account) = 32),
    source bytea NOT NULL CHECK (length(source) = 32),
    failures integer NOT NULL CHECK (failures >= 0),
    last_at timestamptz NOT NULL,
    blocked_until timestamptz,
    PRIMARY KEY (account, source)
)
"""

# What may be used once: passkey challenges, and tickets from one step of a sign-in to the next.
_SPENT = """
CREATE TABLE spent_challenges (
    digest bytea PRIMARY KEY CHECK (length(digest) = 32),
    expires_at timestamptz NOT NULL
)
"""

_SCA_CHALLENGES = """
CREATE TABLE sca_challenges (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id),
    kind text NOT NULL CHECK (length(kind) BETWEEN 1 AND 100),
    object_id text CHECK (length(object_id) BETWEEN 1 AND 100),
    amount_minor bigint CHECK (amount_minor >= 0),
    currency text CHECK (length(currency) = 3),
    payee text CHECK (length(payee) BETWEEN 1 AND 500),
    payee_key bytea CHECK (length(payee_key) = 32),
    nonce bytea NOT NULL CHECK (length(nonce) = 32),
    digest bytea NOT NULL CHECK (length(digest) = 32),
    exemption text CHECK (exemption IN ('low_value', 'trusted_beneficiary', 'recurring')),
    reason text CHECK (length(reason) BETWEEN 1 AND 500),
    state text NOT NULL CHECK (state IN ('open', 'completed', 'exempted', 'voided')),
    failures integer NOT NULL CHECK (failures >= 0),
    amr text[],
    factor_id uuid,
    evidence json,
    return_to text CHECK (return_to LIKE '/%' AND length(return_to) <= 500),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    used_at timestamptz,
    CHECK ((amount_minor IS NULL) = (currency IS NULL)),
    CHECK ((state = 'exempted') = (exemption IS NOT NULL)),
    CHECK ((state = 'exempted') = (reason IS NOT NULL)),
    CHECK (state <> 'completed' OR amr IS NOT NULL),
    CHECK (used_at IS NULL OR state IN ('completed', 'exempted')),
    CHECK ((state = 'open') = (ended_at IS NULL))
)
"""

_INDEXES = (
    "CREATE INDEX users_party_id ON users (party_id)",
    "CREATE INDEX factors_user_id ON factors (user_id)",
    "CREATE INDEX sessions_user_id ON sessions (user_id) WHERE ended_at IS NULL",
    "CREATE INDEX sessions_ends_at ON sessions (ends_at)",
    "CREATE INDEX enrolment_codes_user_id ON enrolment_codes (user_id)",
    "CREATE INDEX sign_in_failures_last_at ON sign_in_failures (last_at)",
    "CREATE INDEX spent_challenges_expires_at ON spent_challenges (expires_at)",
)

_SCA_INDEXES = (
    "CREATE INDEX sca_challenges_user_id ON sca_challenges (user_id, id)",
    "CREATE INDEX sca_challenges_created_at ON sca_challenges (created_at, id)",
)


def statements(*, tenant: bool) -> tuple[str, ...]:
    """Return the SQL that makes the tables of a tenant or of the platform."""
    realms = "'psu', 'staff'" if tenant else "'operator'"
    users = _USERS.format(realms=realms, party=_PARTY if tenant else _NO_PARTY)
    both = (users, _FACTORS, _RECOVERY_CODES, _SESSIONS, _ENROLMENT_CODES, _SIGN_IN_FAILURES, _SPENT, *_INDEXES)
    if not tenant:
        return both
    return (*both, _SCA_CHALLENGES, *_SCA_INDEXES)


def grants(*, tenant: bool) -> dict[str, str]:
    """Return what the runtime role may do with them."""
    rights = {
        "users": "SELECT, INSERT, UPDATE",
        "factors": "SELECT, INSERT, UPDATE, DELETE",
        "recovery_codes": "SELECT, INSERT, UPDATE, DELETE",
        "sessions": "SELECT, INSERT, UPDATE, DELETE",
        "enrolment_codes": "SELECT, INSERT, UPDATE, DELETE",
        "sign_in_failures": "SELECT, INSERT, UPDATE, DELETE",
        "spent_challenges": "SELECT, INSERT, DELETE",
    }
    # What was agreed to stays as evidence, until it is old enough.
    return rights | ({"sca_challenges": "SELECT, INSERT, UPDATE, DELETE"} if tenant else {})
