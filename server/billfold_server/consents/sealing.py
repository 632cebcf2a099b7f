"""What consents keep sealed: what was asked for, and what the customer was shown.

A request is asked for before anybody knows whose consent it will be, so it lies under the tenant's own key, and goes
when its party is erased. Evidence lies under the key of whose it is. Its commitment is salted, and the salt lies sealed
with it: so the chain can be verified for ever, and says nothing once the key is destroyed.
"""

import hashlib
import hmac
import secrets
from typing import Final
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold_server.consents.rows import Consent, Evidence, NewConsent, PreparedConsent, PreparedEvidence
from billfold_server.http.services import Services
from billfold_server.keys.service import Place
from billfold_server.tenancy.context import TenantRef

__all__ = ["commitment_of", "digest", "link_digest", "open_evidence", "open_requests", "prepare", "seal_evidence"]

_SALT_BYTES: Final = 32


class _Salted(msgspec.Struct, frozen=True):
    """Evidence as it is sealed."""

    salt: bytes
    evidence: Evidence


def digest(services: Services, tenant: TenantRef, repeated: bytes) -> bytes:
    """Return the keyed digest by which it is seen that a later request repeats what was consented to."""
    key = services.keyring.derive("requests for consent")
    return hmac.digest(key, tenant.id.bytes + repeated, "sha256")


async def prepare(services: Services, tenant: TenantRef, new: NewConsent) -> PreparedConsent:
    """Seal what is asked for, outside of any transaction, and give the consent its id.

    Raises:
        errors.KeysUnavailable: It can't be sealed now.
    """
    consent_id = ids.uuid7()
    sealed = (await services.keys.sealer(tenant)).seal(_request(consent_id), new.request)
    return PreparedConsent(
        id=consent_id,
        new=msgspec.structs.replace(new, request=b"", repeated=b""),
        request_sealed=sealed,
        request_digest=digest(services, tenant, new.repeated or new.request),
    )


async def open_requests(services: Services, tenant: TenantRef, consents: list[Consent]) -> list[bytes | None]:
    """Return what was asked for, by one query for all keys; None of what was erased with whom it named."""
    opener = await services.keys.opener(tenant, [each.request_sealed for each in consents if each.request_sealed])
    return [opener.open(_request(each.id), each.request_sealed) if each.request_sealed else None for each in consents]


async def seal_evidence(
    services: Services, tenant: TenantRef, consent_id: UUID, party_id: UUID, evidence: Evidence
) -> PreparedEvidence:
    """Seal what a customer was shown under their own key, outside of any transaction.

    Raises:
        errors.KeysUnavailable: It can't be sealed now.
        errors.SubjectForgotten: The customer was forgotten.
    """
    salt = secrets.token_bytes(_SALT_BYTES)
    commitment = commitment_of(salt, evidence)
    sealer = await services.keys.sealer(tenant, party_id)
    evidence_id = ids.uuid7()
    sealed = sealer.seal(_evidence(evidence_id), msgspec.json.encode(_Salted(salt, evidence)))
    return PreparedEvidence(id=evidence_id, consent_id=consent_id, sealed=sealed, commitment=commitment)


async def open_evidence(
    services: Services, tenant: TenantRef, kept: list[PreparedEvidence]
) -> list[tuple[Evidence, bytes] | None]:
    """Return evidence with its salt, by one query for all keys; None of who was forgotten."""
    opener = await services.keys.opener(tenant, [each.sealed for each in kept if each.sealed])
    opened: list[tuple[Evidence, bytes] | None] = []
    for each in kept:
        try:
            plain = opener.open(_evidence(each.id), each.sealed) if each.sealed else None
        except errors.SubjectForgotten:
            plain = None
        salted = None if plain is None else msgspec.json.decode(plain, type=_Salted)
        opened.append(None if salted is None else (salted.evidence, salted.salt))
    return opened


def commitment_of(salt: bytes, evidence: Evidence) -> bytes:
    """Return what is chained of evidence: nobody finds out by it what was shown without the salt."""
    return hmac.digest(salt, msgspec.json.encode(evidence), "sha256")


def link_digest(former: bytes, number: int, consent_id: UUID, commitment: bytes) -> bytes:
    """Return the digest of a link, which covers every link before it."""
    return hashlib.sha256(former + number.to_bytes(8) + consent_id.bytes + commitment).digest()


def _request(consent_id: UUID) -> Place:
    return Place("consents", str(consent_id), "request_sealed")


def _evidence(evidence_id: UUID) -> Place:
    return Place("consent_evidence", str(evidence_id), "sealed")
