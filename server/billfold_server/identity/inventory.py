"""What the identity room keeps: clients, what users allow them, and tokens."""

from typing import Final

from billfold_server.db.personal import Inventory, NotPersonal, PersonalColumn

__all__ = ["INVENTORY"]

INVENTORY: Final = Inventory(
    room="identity",
    personal=(
        PersonalColumn(
            table="api_clients",
            column="name",
            told_as="client_name",
            category="name",
            owner="client",
            plain_because="what consent pages and the audit call a program; it names no customer",
            kept="clients",
        ),
        PersonalColumn(
            table="api_clients",
            column="organisation",
            category="name",
            owner="client",
            plain_because="what consent pages call whoever runs a program; a company",
            kept="clients",
        ),
        PersonalColumn(
            table="api_clients",
            column="contacts",
            category="contact",
            owner="client",
            plain_because="how the bank reaches whoever runs a program; given for that, and by companies",
            kept="clients",
        ),
        PersonalColumn(
            table="api_clients",
            column="tls_san_email",
            category="contact",
            owner="client",
            plain_because="compared with certificates at each sign-in of a program",
            kept="clients",
        ),
        PersonalColumn(
            table="api_clients",
            column="tls_subject_dn",
            category="name",
            owner="client",
            plain_because="compared with certificates at each sign-in of a program",
            kept="clients",
        ),
        PersonalColumn(
            table="api_clients",
            column="registered_by",
            category="identifier",
            owner="staff",
            plain_because="an id of a user or client, which says nothing once the user is forgotten",
            kept="clients",
        ),
        PersonalColumn(
            table="grants",
            column="user_id",
            category="identifier",
            owner="user",
            plain_because="an id, which says nothing once the user is forgotten",
            kept="grants_days",
        ),
        PersonalColumn(
            table="grants",
            column="details",
            category="identifier",
            owner="user",
            plain_because="ids of wallets, and what may be seen of them",
            kept="grants_days",
        ),
        PersonalColumn(
            table="authorization_codes",
            column="id_token_claims",
            category="identifier",
            owner="user",
            plain_because="ids and times of a sign-in, for a minute",
            kept="minutes",
        ),
        PersonalColumn(
            table="pushed_requests",
            column="request",
            category="free_text",
            owner="user",
            plain_because="what a client asks for, with a hint of who signs in where it gives one; for minutes",
            kept="minutes",
        ),
        PersonalColumn(
            table="interactions",
            column="user_id",
            category="identifier",
            owner="user",
            plain_because="an id, for minutes",
            kept="minutes",
        ),
        PersonalColumn(
            table="interactions",
            column="choice",
            category="identifier",
            owner="user",
            plain_because="ids of wallets that were chosen, and a digest of what was shown, for minutes",
            kept="minutes",
        ),
    ),
    others=(
        NotPersonal(
            table="api_clients",
            because="settings of a program, public keys, and keyed digests of its secrets",
            columns=(
                "id state authentication scopes redirect_uris post_logout_redirect_uris grant_types response_types "
                "jwks tls_san_dns tls_san_uri tls_san_ip request_object_alg assertion_alg id_token_alg "
                "authorization_response_alg introspection_alg dpop_bound certificate_bound "
                "authorization_details_types client_uri policy_uri tos_uri organisation_id software_id "
                "software_version login_realm partner_id version secret_digest former_secret_digest "
                "former_secret_until earlier_secret_digests earlier_secrets_until registration_digest created_at "
                "updated_at"
            ),
        ),
        NotPersonal(
            table="signing_keys",
            because="the tenant's own keys, the private halves sealed",
            columns=(
                "id purpose algorithm generation public_jwk sealed_private voucher signs_from withdrawn_at created_at"
            ),
        ),
        NotPersonal(
            table="grants",
            because="scopes, ids and times",
            columns=(
                "id client_id scopes resources acr amr factor_ids auth_time created_at consent_id revoked_at reason"
            ),
        ),
        NotPersonal(
            table="refresh_tokens",
            because="digests of random bits, scopes, ids and times",
            columns="digest grant_id client_id scopes resources jkt created_at expires_at rotated_at",
        ),
        NotPersonal(
            table="revoked_tokens",
            because="digests of random bits, ids and times",
            columns="digest client_id revoked_at expires_at",
        ),
        NotPersonal(table="seen_tokens", because="digests of random bits", columns="digest expires_at"),
        NotPersonal(
            table="authorization_codes",
            because="digests of random bits, scopes, addresses of clients, ids and times",
            columns=(
                "digest client_id grant_id redirect_uri code_challenge scopes resources nonce state_hash dpop_jkt "
                "created_at expires_at used_at"
            ),
        ),
        NotPersonal(
            table="pushed_requests",
            because="digests of random bits, ids and times",
            columns="digest client_id created_at expires_at completed_at",
        ),
        NotPersonal(
            table="interactions",
            because="digests of random bits, ids and times",
            columns="digest browser_digest request_digest challenge_id created_at expires_at",
        ),
    ),
)
"""Every column of the room's tables."""
