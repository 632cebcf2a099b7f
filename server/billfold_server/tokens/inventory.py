"""What the vault keeps: what tokens stand for, and what is shown of it."""

from typing import Final

from billfold_server.db.personal import Inventory, NotPersonal, PersonalColumn

__all__ = ["INVENTORY"]

INVENTORY: Final = Inventory(
    room="tokens",
    personal=(
        PersonalColumn(
            table="vault_tokens",
            column="value",
            category="card",
            owner="party",
            domain="cards",
            kept="tokens",
            told_as="bank_account card jwe personal",
        ),
        PersonalColumn(
            table="vault_tokens",
            column="masked",
            category="card",
            owner="party",
            plain_because="brand, first and last digits, which PCI DSS 4.0.1, requirement 3.4.1, lets be shown",
            kept="tokens",
            told_as="bank_account bank_account_mask card",
        ),
        PersonalColumn(
            table="vault_tokens",
            column="metadata",
            category="free_text",
            owner="party",
            plain_because="the caller's own keys and values, in which card numbers are refused",
            kept="tokens",
        ),
        PersonalColumn(
            table="vault_tokens",
            column="party_id",
            category="identifier",
            owner="party",
            plain_because="an id, which says nothing once the party is forgotten",
            kept="tokens",
        ),
        PersonalColumn(
            table="vault_fingerprints",
            column="digest",
            category="card",
            owner="party",
            plain_because="a keyed digest, by which a value is found by who has it",
            kept="tokens",
            index=True,
        ),
        PersonalColumn(
            table="vault_uses",
            column="caller",
            category="identifier",
            owner="staff",
            plain_because="an id of a user or client, which says nothing once the user is forgotten",
            kept="minutes",
        ),
        PersonalColumn(
            table="card_sessions",
            column="party_id",
            category="identifier",
            owner="party",
            plain_because="an id, which says nothing once the party is forgotten",
            kept="card_sessions",
        ),
        PersonalColumn(
            table="card_sessions",
            column="metadata",
            category="free_text",
            owner="party",
            plain_because="the caller's own keys and values, in which card numbers are refused",
            kept="card_sessions",
        ),
        PersonalColumn(
            table="card_sessions",
            column="return_url",
            category="identifier",
            owner="party",
            plain_because="the caller's own address, in which card numbers are refused",
            kept="card_sessions",
        ),
    ),
    others=(
        NotPersonal(
            table="vault_tokens",
            because="ids, kinds, states and times",
            columns="id place kind personal_type fingerprint_id single_use claim used_at last_used_at expires_at "
            "version created_at updated_at forgotten_at",
        ),
        NotPersonal(
            table="card_sessions",
            because="ids, addresses of programs, states and times",
            columns="id client_id embed_origins single_use vault_token_id created_at expires_at completed_at",
        ),
        NotPersonal(table="vault_fingerprints", because="ids and versions of keys", columns="version purpose id"),
        NotPersonal(
            table="vault_uses",
            because="names of purposes, counts and times",
            columns="purpose span begins_at used refused",
        ),
    ),
)
"""Every column of the room's tables."""
