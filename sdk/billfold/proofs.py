"""The verification of signed heads and of proofs, with nobody's word but the tenant's public keys.

::

    import httpx
    import msgspec

    from billfold.contract.oauth import JwkSet
    from billfold.proofs import verify_proof

    keys = msgspec.json.decode(httpx.get(f"{base_url}/.well-known/jwks.json").content, type=JwkSet)
    proof = billfold.journal_entries.proof(entry.id)
    accounts = [billfold.accounts.get(posting.account_id) for posting in entry.postings]
    proven = verify_proof(proof, keys, issuer=base_url, entry=entry, accounts=accounts)

A head that was kept earlier shows more than a fresh one: give it as ``trusted``, and a ledger that was rewritten since
can't show the entry any longer.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn, TypeVar
from uuid import UUID

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from billfold import chain, ids
from billfold.chain import Head, InclusionProof, InvalidProofError, Link
from billfold.contract.ledger import (
    LEDGER_HEAD_TYPE,
    Account,
    JournalEntry,
    JournalEntryProof,
    LedgerHead,
    LedgerHeadClaims,
    NormalSide,
    ProofLink,
)
from billfold.contract.oauth import JwkSet
from billfold.contract.platform import AUDIT_HEAD_TYPE, AuditHead, AuditHeadClaims
from billfold.ids import Prefix

__all__ = ["InvalidProofError", "ProvenEntry", "ProvenPosting", "verify_audit_head", "verify_head", "verify_proof"]

C = TypeVar("C", bound=msgspec.Struct)

_ALGORITHM: Final = "ES256"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FACTS_OF_AN_ENTRY: Final = 9
_FACTS_OF_A_POSTING: Final = 5
_ABSENT: Final = "-"


class ProvenPosting(msgspec.Struct, frozen=True, kw_only=True):
    """A posting as it is in the chain; ``posted_after_minor`` is signed, positive is debit."""

    account_id: str
    amount_minor: int
    currency: str
    posted_after_minor: int


class ProvenEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A journal entry as it is in the chain.

    Attributes:
        text_commitment: The commitment to description and metadata; None where there never was such text.
    """

    id: str
    sequence: int
    kind: str
    reverses: str | None
    hold_id: str | None
    effective_at: datetime
    recorded_at: datetime
    text_commitment: bytes | None
    postings: list[ProvenPosting]


def verify_head(head: LedgerHead, keys: JwkSet | Mapping[str, Any], *, issuer: str) -> Head:
    """Verify a signed head, and return it as the chain knows it, to keep it.

    Args:
        head: What ``billfold.ledger.head()`` returned, or somebody else has kept.
        keys: The tenant's JWKS, got from a place that is trusted.
        issuer: The tenant's base URL, which must be the one that signed.

    Raises:
        InvalidProofError: By ``fact``: ``signature`` (nobody with such a key has signed it, or another tenant has) or
            ``head`` (it was signed, but says something else).
    """
    claims = _claims(head, keys, LedgerHeadClaims, LEDGER_HEAD_TYPE)
    if claims.iss != issuer.rstrip("/"):
        _refuse("signature", head.number, "the head was signed by another issuer than the one that was named")
    said = LedgerHeadClaims(
        iss=claims.iss, number=head.number, hash=head.hash, sequence=head.sequence, recorded_at=head.recorded_at
    )
    if claims != said:
        raise InvalidProofError("head", head.number)
    return Head(number=head.number, hash=_digest(head.hash, "head", head.number))


def verify_audit_head(head: AuditHead, keys: JwkSet | Mapping[str, Any], *, issuer: str) -> Head:
    """Verify the signed head of an audit trail, and return it as the chain knows it, to keep it.

    Args:
        head: What ``billfold.audit_records.head()`` returned, or somebody else has kept.
        keys: The JWKS of the tenant, or of the platform, got from a place that is trusted.
        issuer: The base URL of the tenant, or of the platform, which must be the one that signed.

    Raises:
        InvalidProofError: As ``verify_head``.
    """
    claims = _claims(head, keys, AuditHeadClaims, AUDIT_HEAD_TYPE)
    if claims.iss != issuer.rstrip("/"):
        _refuse("signature", head.number, "the head was signed by another issuer than the one that was named")
    said = AuditHeadClaims(iss=claims.iss, number=head.number, hash=head.hash, sealed_at=head.sealed_at)
    if claims != said:
        raise InvalidProofError("head", head.number)
    return Head(number=head.number, hash=_digest(head.hash, "head", head.number))


def _claims(head: LedgerHead | AuditHead, keys: JwkSet | Mapping[str, Any], claims_type: type[C], typ: str) -> C:
    published = msgspec.to_builtins(keys) if isinstance(keys, JwkSet) else keys
    by_id = {key.get("kid"): key for key in published.get("keys", ())}
    if not by_id:
        _refuse("signature", head.number, "no keys were given to verify it by")
    try:
        kid = jws.extract_compact(head.jws.encode()).headers().get("kid")
        if kid not in by_id:
            _refuse("signature", head.number, "none of the keys that were given has signed it")
        # The algorithm is fixed here, and never read from what is verified.
        signed = jws.deserialize_compact(head.jws, ECKey.import_key(by_id[kid]), algorithms=[_ALGORITHM])
        claims = msgspec.json.decode(signed.payload, type=claims_type)
    except InvalidProofError:
        raise
    except (JoseError, ValueError, TypeError, msgspec.MsgspecError):
        raise InvalidProofError("signature", head.number) from None
    if signed.headers().get("typ") != typ:
        _refuse("signature", head.number)
    return claims


def verify_proof(
    proof: JournalEntryProof,
    keys: JwkSet | Mapping[str, Any],
    *,
    issuer: str,
    entry: JournalEntry | None = None,
    accounts: Iterable[Account] = (),
    trusted: Head | None = None,
) -> ProvenEntry:
    """Verify that a journal entry is in the ledger that a signed head stands for, and return it as it is there.

    Args:
        proof: What ``billfold.journal_entries.proof(…)`` returned, or somebody else shows.
        keys: The tenant's JWKS, got from a place that is trusted.
        issuer: The tenant's base URL.
        entry: The entry as the API has shown it, to be compared with what is proven.
        accounts: The accounts of its postings. The API shows balances on an account's normal side, which the record
            knows nothing of, so a balance that isn't zero can be compared by these only.
        trusted: A head that was kept; if the proof was made for this one, it must be the same.

    Raises:
        InvalidProofError: By ``fact``: ``signature`` or ``head`` (as ``verify_head``), ``links`` or ``path`` (they
            don't lead from the record to the head), ``record`` (it isn't this entry's), ``text`` (description or
            metadata aren't those that were committed to) or ``account`` (one isn't given whose normal side it takes).
    """
    head = verify_head(proof.head, keys, issuer=issuer)
    if trusted is not None and trusted.number == head.number and trusted.hash != head.hash:
        _refuse("head", head.number)
    links = tuple(_link(link) for link in proof.links)
    path = tuple(_digest(each, "path", head.number) for each in proof.path)
    chain.verify_inclusion(proof.record, InclusionProof(proof.index, path, links), head)
    proven = _read(proof.record, links[-1].number)
    if proven.id != proof.journal_entry_id:
        _refuse("record", links[-1].number)
    if entry is not None:
        _compare(proven, entry, proof, links[-1].number)
        _compare_balances(proven, entry, accounts, links[-1].number)
    return proven


def _link(link: ProofLink) -> Link:
    return Link(
        number=link.number,
        previous=_digest(link.previous, "links", link.number),
        skip=_digest(link.skip, "links", link.number),
        recorded_at=link.recorded_at,
        count=link.count,
        root=_digest(link.root, "links", link.number),
    )


def _digest(text: str, fact: str, number: int) -> bytes:
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        raise InvalidProofError(fact, number) from None
    if len(digest) != chain.HASH_BYTES:
        _refuse(fact, number)
    return digest


def _read(record: str, number: int) -> ProvenEntry:
    """Return what a record's text says; see ``billfold.chain.entry_text``."""
    lines = record.split("\n")
    postings = [line.split(" ") for line in lines[_FACTS_OF_AN_ENTRY:]]
    if lines[0] != "entry" or len(lines) < _FACTS_OF_AN_ENTRY:
        _refuse("record", number)
    _, sequence, id_, kind, reverses, hold_id, effective_at, recorded_at, commitment = lines[:_FACTS_OF_AN_ENTRY]
    if any(len(posting) != _FACTS_OF_A_POSTING for posting in postings):
        _refuse("record", number)
    try:
        return ProvenEntry(
            id=_wire(Prefix.JOURNAL_ENTRY, id_),
            sequence=int(sequence),
            kind=kind,
            reverses=None if reverses == _ABSENT else _wire(Prefix.JOURNAL_ENTRY, reverses),
            hold_id=None if hold_id == _ABSENT else _wire(Prefix.HOLD, hold_id),
            effective_at=_instant(effective_at),
            recorded_at=_instant(recorded_at),
            text_commitment=None if commitment == _ABSENT else bytes.fromhex(commitment),
            postings=[
                ProvenPosting(
                    account_id=_wire(Prefix.ACCOUNT, account_id),
                    amount_minor=int(amount),
                    currency=currency,
                    posted_after_minor=int(after),
                )
                for _, account_id, amount, currency, after in postings
            ],
        )
    except (ValueError, OverflowError):
        raise InvalidProofError("record", number) from None


def _wire(prefix: Prefix, digits: str) -> str:
    return ids.encode(prefix, UUID(hex=digits))


def _instant(microseconds: str) -> datetime:
    return _EPOCH + timedelta(microseconds=int(microseconds))


def _compare(proven: ProvenEntry, entry: JournalEntry, proof: JournalEntryProof, number: int) -> None:
    """Compare what is proven with what the API has shown."""
    facts = ("id", "sequence", "kind", "reverses", "hold_id", "effective_at", "recorded_at")
    if any(getattr(proven, fact) != getattr(entry, fact) for fact in facts):
        _refuse("record", number)
    shown = [(p.account_id, p.amount_minor, p.currency) for p in entry.postings]
    if shown != [(p.account_id, p.amount_minor, p.currency) for p in proven.postings]:
        _refuse("record", number)
    if proven.text_commitment is None or proof.text_salt is None:
        right = entry.description is None and not entry.metadata
    else:
        try:
            salt = bytes.fromhex(proof.text_salt)
        except ValueError:
            raise InvalidProofError("text", number) from None
        right = chain.commitment(salt, entry.description, entry.metadata) == proven.text_commitment
    if not right:
        _refuse("text", number)


def _compare_balances(proven: ProvenEntry, entry: JournalEntry, accounts: Iterable[Account], number: int) -> None:
    """Compare the balances after each posting, with their signs."""
    sides = {account.id: account.normal_side for account in accounts}
    for posting, shown in zip(proven.postings, entry.postings, strict=True):
        after = posting.posted_after_minor
        side = sides.get(posting.account_id)
        if abs(after) != abs(shown.balance_after_minor):
            _refuse("record", number)
        if after and side is None:
            _refuse("account", number)
        if shown.balance_after_minor != (after if side is NormalSide.DEBIT else -after):
            _refuse("record", number)


def _refuse(fact: str, number: int, why: str | None = None) -> NoReturn:
    raise InvalidProofError(fact, number, why)
