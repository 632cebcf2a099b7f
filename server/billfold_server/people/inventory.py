"""What the people room keeps: who signs in, by what, and what they agreed to."""

from typing import Final

from billfold_server.db.personal import Inventory, NotPersonal, PersonalColumn

__all__ = ["INVENTORY"]

INVENTORY: Final = Inventory(
    room="people",
    personal=(
        PersonalColumn(
            table="users",
            column="login_name",
            category="contact",
            owner="user",
            plain_because="who signs in is found by it, and shown by it to staff; blanked when the user is forgotten",
            kept="user",
        ),
        PersonalColumn(
            table="users",
            column="display_name",
            category="name",
            owner="user",
            plain_because="who signs in is found by it, and shown by it to staff; blanked when the user is forgotten",
            kept="user",
        ),
        PersonalColumn(
            table="users",
            column="party_id",
            category="identifier",
            owner="user",
            plain_because="an id, which says nothing once the party is forgotten",
            kept="user",
        ),
        PersonalColumn(
            table="users",
            column="partner_id",
            category="identifier",
            owner="user",
            plain_because="for which company somebody works with the bank; who they are is gone once they were removed",
            kept="user",
        ),
        PersonalColumn(
            table="users",
            column="handle",
            category="identifier",
            owner="user",
            plain_because="32 random bytes by which a passkey knows its owner; replaced when the user is forgotten",
            kept="user",
        ),
        PersonalColumn(
            table="users",
            column="password_hash",
            category="credential",
            owner="user",
            plain_because="Argon2id under a key of the deployment; removed when the user is forgotten",
            kept="user",
        ),
        PersonalColumn(
            table="factors",
            column="label",
            category="free_text",
            owner="user",
            plain_because="what somebody calls a device of theirs; deleted with the user",
            kept="user",
        ),
        PersonalColumn(
            table="factors", column="sealed_secret", category="credential", owner="user", domain="data", kept="user"
        ),
        PersonalColumn(
            table="factors",
            column="credential_id",
            category="credential",
            owner="user",
            plain_because="looked up when a passkey is shown, and opens nothing by itself; deleted with the user",
            kept="user",
        ),
        PersonalColumn(
            table="factors",
            column="public_key",
            category="credential",
            owner="user",
            plain_because="a public key; deleted with the user",
            kept="user",
        ),
        PersonalColumn(
            table="sessions",
            column="device",
            category="device",
            owner="user",
            plain_because="browser and system in two words, which its owner is shown",
            kept="sessions_days",
        ),
        PersonalColumn(
            table="sessions",
            column="new_password_hash",
            category="credential",
            owner="user",
            plain_because="Argon2id under a key of the deployment, while somebody enrols; moved to the user then",
            kept="sessions_days",
        ),
        PersonalColumn(
            table="sign_in_failures",
            column="account",
            category="identifier",
            owner="user",
            plain_because="a keyed digest of what was typed; sums of failures are kept as long as sessions",
            kept="sessions_days",
            index=True,
        ),
        PersonalColumn(
            table="sign_in_failures",
            column="source",
            category="device",
            owner="user",
            plain_because="a keyed digest of an address, for hours",
            kept="minutes",
            index=True,
        ),
        PersonalColumn(
            table="sca_challenges",
            column="payee",
            category="name",
            owner="counterparty",
            plain_because=(
                "evidence of what a payer was shown and agreed to (RTS on SCA, article 5); blanked when the user is "
                "forgotten"
            ),
            kept="sca_days",
        ),
        PersonalColumn(
            table="sca_challenges",
            column="payee_key",
            category="account_number",
            owner="counterparty",
            plain_because="a keyed digest of an account, by which a payee is known again",
            kept="sca_days",
            index=True,
        ),
        PersonalColumn(
            table="sca_challenges",
            column="terms",
            category="free_text",
            owner="counterparty",
            plain_because="evidence of what else a payer was shown and agreed to; blanked when the user is forgotten",
            kept="sca_days",
        ),
        PersonalColumn(
            table="sca_challenges",
            column="evidence",
            category="evidence",
            owner="user",
            plain_because="evidence of how a payer agreed; blanked when the user is forgotten",
            kept="sca_days",
        ),
    ),
    others=(
        NotPersonal(
            table="users",
            because="realm, language, roles, state and times",
            columns=(
                "id login_realm language roles state password_changed_at last_sign_in_at version created_at updated_at"
            ),
        ),
        NotPersonal(
            table="factors",
            because="kinds, states, counters, host names and times",
            columns=(
                "id user_id kind state last_step sign_count rp_id transports backed_up good_from created_at "
                "last_used_at"
            ),
        ),
        NotPersonal(
            table="recovery_codes", because="digests of random bits", columns="user_id digest created_at used_at"
        ),
        NotPersonal(
            table="sessions",
            because="digests of random bits, methods, ids and times",
            columns=(
                "id digest user_id stage amr acr factor_ids auth_time confirmed_at last_seen_at ends_at ended_at "
                "end_reason created_at"
            ),
        ),
        NotPersonal(
            table="enrolment_codes",
            because="digests of random bits, ids and times",
            columns="id user_id digest created_at expires_at used_at",
        ),
        NotPersonal(table="sign_in_failures", because="counts and times", columns="failures last_at blocked_until"),
        NotPersonal(table="spent_challenges", because="digests of random bits", columns="digest expires_at"),
        NotPersonal(
            table="sca_challenges",
            because="amounts, states, methods, random bits, ids and times",
            columns=(
                "id user_id kind object_id amount_minor currency nonce digest exemption reason state failures amr "
                "factor_id return_to created_at expires_at ended_at used_at"
            ),
        ),
    ),
)
"""Every column of the room's tables."""
