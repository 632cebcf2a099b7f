"""API clients and signing keys."""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0006_identity"
VERSION = "1.38.0"
DESCRIPTION = "API clients and signing keys"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(
        migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=_STATEMENTS, grants=_GRANTS
    )


_STATEMENTS = (
    # Of secrets only keyed digests are kept. A client that is deleted stays, because audit and consents name it.
    """
    CREATE TABLE api_clients (
        id uuid PRIMARY KEY,
        name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
        organisation text CHECK (length(organisation) BETWEEN 1 AND 200),
        state text NOT NULL CHECK (state IN ('active', 'disabled', 'deleted')),
        authentication text NOT NULL CHECK (authentication IN (
            'private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth',
            'client_secret_basic', 'client_secret_post'
        )),
        scopes text[] NOT NULL,
        redirect_uris text[] NOT NULL,
        post_logout_redirect_uris text[] NOT NULL,
        grant_types text[] NOT NULL,
        response_types text[] NOT NULL,
        jwks text CHECK (length(jwks) <= 65536),
        tls_subject_dn text,
        tls_san_dns text,
        tls_san_uri text,
        tls_san_ip text,
        tls_san_email text,
        request_object_alg text CHECK (request_object_alg IN ('PS256', 'ES256', 'EdDSA')),
        assertion_alg text CHECK (assertion_alg IN ('PS256', 'ES256', 'EdDSA')),
        id_token_alg text CHECK (id_token_alg IN ('PS256', 'ES256', 'EdDSA')),
        authorization_response_alg text CHECK (authorization_response_alg IN ('PS256', 'ES256', 'EdDSA')),
        introspection_alg text CHECK (introspection_alg IN ('PS256', 'ES256', 'EdDSA')),
        dpop_bound boolean NOT NULL,
        certificate_bound boolean NOT NULL,
        authorization_details_types text[] NOT NULL,
        contacts text[] NOT NULL,
        client_uri text,
        policy_uri text,
        tos_uri text,
        organisation_id text,
        software_id text,
        software_version text,
        registered_by text NOT NULL,
        login_realm text NOT NULL CHECK (login_realm IN ('psu', 'staff')),
        version integer NOT NULL CHECK (version >= 1),
        secret_digest bytea CHECK (length(secret_digest) = 32),
        former_secret_digest bytea CHECK (length(former_secret_digest) = 32),
        former_secret_until timestamptz,
        registration_digest bytea CHECK (length(registration_digest) = 32),
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        CHECK ((secret_digest IS NOT NULL) = (authentication IN ('client_secret_basic', 'client_secret_post'))),
        CHECK ((former_secret_digest IS NULL) = (former_secret_until IS NULL)),
        CHECK (num_nonnulls(tls_subject_dn, tls_san_dns, tls_san_uri, tls_san_ip, tls_san_email)
            = CASE WHEN authentication = 'tls_client_auth' THEN 1 ELSE 0 END)
    )
    """,
    # A private key is sealed under its tenant's key. The voucher is made by the keyring of all that the row says beside
    # it, so that nobody who can write rows makes a key of ours, and what verifies is known without any other key.
    # Which key signs, and how long one verifies, follows from the generations and their times.
    """
    CREATE TABLE signing_keys (
        id uuid PRIMARY KEY,
        purpose text NOT NULL CHECK (purpose IN ('tokens', 'records')),
        algorithm text NOT NULL CHECK (algorithm IN ('PS256', 'ES256', 'EdDSA')),
        generation integer NOT NULL CHECK (generation >= 1),
        public_jwk text NOT NULL,
        sealed_private bytea NOT NULL,
        voucher bytea NOT NULL CHECK (length(voucher) = 32),
        signs_from timestamptz NOT NULL,
        withdrawn_at timestamptz,
        created_at timestamptz NOT NULL,
        UNIQUE (purpose, algorithm, generation)
    )
    """,
)

_GRANTS = {
    # Which client it is, and who let it in, is settled when it is made.
    "api_clients": (
        "SELECT, INSERT, UPDATE (name, organisation, state, authentication, scopes, redirect_uris, "
        "post_logout_redirect_uris, grant_types, response_types, jwks, tls_subject_dn, tls_san_dns, tls_san_uri, "
        "tls_san_ip, tls_san_email, request_object_alg, assertion_alg, id_token_alg, authorization_response_alg, "
        "introspection_alg, dpop_bound, certificate_bound, authorization_details_types, contacts, client_uri, "
        "policy_uri, tos_uri, organisation_id, software_id, software_version, version, secret_digest, "
        "former_secret_digest, former_secret_until, registration_digest, updated_at)"
    ),
    "signing_keys": "SELECT, INSERT, UPDATE (withdrawn_at)",
}
