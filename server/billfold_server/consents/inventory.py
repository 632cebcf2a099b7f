"""What the consents room keeps: what customers allow third parties, and what these did with it."""

from typing import Final

from billfold_server.db.personal import Inventory, NotPersonal, PersonalColumn

__all__ = ["INVENTORY"]

_AN_ID: Final = "an id, which says nothing once whose it is was forgotten"

INVENTORY: Final = Inventory(
    room="consents",
    personal=(
        PersonalColumn(
            table="consents",
            column="request_sealed",
            category="free_text",
            owner="party",
            domain="data",
            kept="consents_days",
            told_as="request",
        ),
        PersonalColumn(
            table="consents",
            column="party_id",
            category="identifier",
            owner="party",
            plain_because=_AN_ID,
            kept="consents_days",
        ),
        PersonalColumn(
            table="consents",
            column="user_id",
            category="identifier",
            owner="user",
            plain_because=_AN_ID,
            kept="consents_days",
        ),
        PersonalColumn(
            table="consents",
            column="wallet_ids",
            category="identifier",
            owner="party",
            plain_because=_AN_ID,
            kept="consents_days",
        ),
        PersonalColumn(
            table="consents",
            column="status_reason",
            category="free_text",
            owner="party",
            plain_because="why it ended, which staff and jobs read; it is blanked when its customer is forgotten",
            kept="consents_days",
        ),
        PersonalColumn(
            table="consent_history",
            column="reason",
            category="free_text",
            owner="party",
            plain_because="why it was done, which staff reads; it is blanked when its customer is forgotten",
            kept="consents_days",
        ),
        PersonalColumn(
            table="consent_history",
            column="actor",
            category="identifier",
            owner="staff",
            plain_because="an id of a user or client, which says nothing once the user is forgotten",
            kept="consents_days",
        ),
        PersonalColumn(
            table="consent_evidence",
            column="sealed",
            category="evidence",
            owner="party",
            domain="data",
            kept="consents_days",
            told_as="shown",
        ),
        PersonalColumn(
            table="blocked_third_parties",
            column="blocked_by",
            category="identifier",
            owner="staff",
            plain_because="an id of a user, which says nothing once the user is forgotten",
            kept="tenant",
        ),
    ),
    others=(
        NotPersonal(
            table="consents",
            because="what was asked for in codes, amounts and times, keyed digests, and where it stands",
            columns=(
                "id kind client_id status ended_by created_at status_updated_at expires_at ends_at ended_at "
                "authorised_at reauthenticate_by permissions transactions_from transactions_to sca_id amount_minor "
                "currency terms request_digest version"
            ),
        ),
        NotPersonal(
            table="consent_history",
            because="what happened, in codes and times",
            columns="id consent_id event from_status to_status done_by request_id happened_at last_at times",
        ),
        NotPersonal(
            table="consent_evidence",
            because="salted commitments, whose salts are sealed with the evidence",
            columns="id number consent_id commitment digest recorded_at",
        ),
        NotPersonal(table="consent_evidence_head", because="the last link", columns="id number digest"),
        NotPersonal(
            table="consent_uses",
            because="how often a third party used a consent, by kinds of operation",
            columns="consent_id hour operation times last_at",
        ),
        NotPersonal(
            table="blocked_third_parties",
            because="a company that the bank keeps out, and why",
            columns="named client_id third_party reason blocked_at",
        ),
    ),
)
"""Every column of the room's tables."""
