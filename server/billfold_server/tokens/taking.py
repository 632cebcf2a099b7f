"""Takes values in: what was sent is checked, sealed by the decryptor, and only then written.

The decryptor is asked before the transaction begins. Where it is away nothing was begun; where the transaction fails,
what was sealed is bound to a token that never was.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract.events import VAULT_TOKEN_CREATED
from billfold.contract.tokens import CreateVaultToken, VaultTokenCreated
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.db.sets import Write, end_with
from billfold_server.decryptor.service import Fingerprint, Incoming, Refused, Taken
from billfold_server.http.routing import Call
from billfold_server.keys.service import TENANT_SUBJECT
from billfold_server.parties import service as parties
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.tokens import queries, rules, telling, vault
from billfold_server.tokens.queries import NewValue
from billfold_server.tokens.rows import TokenRow
from billfold_server.tokens.rules import Value

__all__ = ["Sealed", "Verdict", "keep", "keep_at_end", "purpose_of", "seal"]


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """A value that can be kept.

    Attributes:
        id: The token's.
        item: What was asked for.
        value: What was sent, checked.
        party_id: Whom it is about.
        taken: What the decryptor has made of it.
    """

    id: UUID
    item: CreateVaultToken
    value: Value
    party_id: UUID | None
    taken: Taken

    def __repr__(self) -> str:
        return f"Sealed({self.id})"


Verdict: TypeAlias = Sealed | errors.ProblemError


def purpose_of(value: Value) -> str:
    """Return of which key the fingerprints of a value are."""
    return value.kind.value if value.personal_type is None else f"{value.kind.value}:{value.personal_type}"


async def seal(call: Call, items: Sequence[CreateVaultToken]) -> list[Verdict]:
    """Check and seal values, and return for each in order what came of it. No transaction may be open.

    Raises:
        errors.KeysUnavailable: The decryptor or the keys can't be reached.
    """
    part = call.tenant.manifest.tokenization
    checked: list[Value | errors.ProblemError] = []
    for item in items:
        try:
            rules.refuse_card_numbers({"metadata": " \n ".join([*item.metadata, *item.metadata.values()])})
            checked.append(
                rules.value_of(part, item.kind, jwe=item.jwe, bank_account=item.bank_account, personal=item.personal)
            )
        except errors.ProblemError as error:
            checked.append(error)
    owners = await _owners(call, items)
    pending: list[tuple[int, Value, Incoming]] = []
    verdicts: list[Verdict | None] = []
    for place, (item, value) in enumerate(zip(items, checked, strict=True)):
        if isinstance(value, errors.ProblemError):
            verdicts.append(value)
        elif item.party_id is not None and item.party_id not in owners:
            verdicts.append(_no_party())
        else:
            verdicts.append(None)
            subject = TENANT_SUBJECT if item.party_id is None else owners[item.party_id]
            pending.append((place, value, _incoming(value, subject)))
    if pending:
        decryptor = vault.decryptor_of(call.services)
        answers = await decryptor.take_in(call.tenant, [incoming for _, _, incoming in pending])
        for (place, value, incoming), answer in zip(pending, answers, strict=True):
            verdicts[place] = _verdict(items[place], value, incoming, answer)
    return [verdict for verdict in verdicts if verdict is not None]


async def _owners(call: Call, items: Sequence[CreateVaultToken]) -> dict[str, UUID]:
    """Return those of the parties that are named who exist; a key is made for nobody else."""
    named = {item.party_id: ids.decode(Prefix.PARTY, item.party_id) for item in items if item.party_id is not None}
    if not named:
        return {}
    async with call.tx() as tx:
        existing = await parties.find_existing(tx, list(named.values()))
    return {wire_id: party_id for wire_id, party_id in named.items() if party_id in existing}


def _no_party() -> errors.NotFound:
    return errors.NotFound("there is no such party", param="party_id")


def _incoming(value: Value, subject: UUID) -> Incoming:
    # All 128 bits are random: unlike other ids, this one is shown to many who must not guess another.
    return Incoming(
        token_id=vault.random_id(),
        kind=value.kind.value,
        subject=subject,
        personal_type=value.personal_type,
        jwe=value.jwe,
        plain=None if value.plain is None else value.plain.encode(),
    )


def _verdict(item: CreateVaultToken, value: Value, incoming: Incoming, answer: Taken | Refused) -> Verdict:
    if isinstance(answer, Refused):
        return vault.error_of(answer, "jwe" if value.jwe is not None else value.kind.value)
    party_id = None if incoming.subject == TENANT_SUBJECT else incoming.subject
    return Sealed(id=incoming.token_id, item=item, value=value, party_id=party_id, taken=answer)


# Writing.


async def keep(
    tx: TenantTx, caller: Caller, verdicts: Sequence[Verdict], *, fingerprint: bool
) -> list[VaultTokenCreated | errors.ProblemError]:
    """Write sealed values as tokens, or find the tokens that stand for them already.

    Args:
        tx: The tenant's transaction.
        caller: Who takes them in.
        verdicts: From ``seal``.
        fingerprint: Whether the caller may see by what values are known.
    """
    # Somebody may have been forgotten while their values were sealed; from here on nobody is.
    named = {each.party_id for each in verdicts if isinstance(each, Sealed) and each.party_id is not None}
    held = await parties.hold_parties(tx, sorted(named)) if named else set()
    verdicts = [_of_nobody(each, held) for each in verdicts]
    known, now = await _known(tx, [each for each in verdicts if isinstance(each, Sealed)])
    answers: list[VaultTokenCreated | errors.ProblemError | None] = []
    wanted: list[tuple[int, Sealed, datetime | None]] = []
    for place, verdict in enumerate(verdicts):
        answers.append(verdict if isinstance(verdict, errors.ProblemError) else None)
        if isinstance(verdict, Sealed):
            try:
                wanted.append((place, verdict, rules.ends_at(verdict.item, now)))
            except errors.VaultTokenInvalid as error:
                answers[place] = error
    sealed = [each for _, each, _ in wanted]
    new = _unknown(sealed, known)
    if new and _alone(sealed):
        # Whether there is a token of the same value can be looked for only by the id that it then has.
        known |= await queries.insert_values(tx, new)
        new = []
    by_digest = known | {each.digest: each.id for each in new}
    rows = [
        (place, sealed, _new_row(sealed, _value_id(sealed, by_digest), expires_at, now))
        for place, sealed, expires_at in wanted
    ]
    reusable = await _reusable(tx, rows)
    made: list[TokenRow] = []
    reused: dict[int, TokenRow] = {}
    for place, sealed_, row in rows:
        # A code waits for the token that it came with, so it gets one of its own.
        reuses = sealed_.item.dedup == "reuse" and not sealed_.taken.has_cvc
        there = _match(row, reusable) if reuses else None
        if there is not None:
            reused[place] = there
            continue
        made.append(row)
        if sealed_.item.dedup == "reuse" and row.fingerprint_id is not None:
            reusable.setdefault(row.fingerprint_id, []).append(row)
    await queries.note_reuse(tx, [row.id for row in reused.values() if _is_idle(row, now)], now)
    by_digest |= await _write(tx, caller, made, sealed, new, now=now)
    for place, sealed_, row in rows:
        shown = reused.get(place) or msgspec.structs.replace(row, fingerprint_id=_value_id(sealed_, by_digest))
        answers[place] = shown.to_created(
            now, fingerprint=fingerprint, has_cvc=sealed_.taken.has_cvc, reused=place in reused
        )
    return [answer for answer in answers if answer is not None]


async def keep_at_end(
    tx: TenantTx, caller: Caller, sealed: Sealed, *, fingerprint: bool, kept: Callable[[bytes], Sequence[Write]]
) -> bytes:
    """Write one sealed value as a new token, in one text with COMMIT, and return the answer.

    Nobody waits for a round trip while the place in the stream of events is held. What the statement finds isn't seen,
    so it fails for a unique key where somebody else makes the same value known at the same moment.

    Args:
        tx: The tenant's transaction, which ends after this.
        caller: Who takes it in.
        sealed: From ``seal``, and nothing that stands for it already is to be used again.
        fingerprint: Whether the caller may see by what the value is known.
        kept: What keeps the answer.

    Raises:
        errors.NotFound: The party is gone.
        errors.VaultTokenInvalid: The token's end lies in the past.
    """
    assert not _alone([sealed])
    if sealed.party_id is not None and not await parties.hold_parties(tx, [sealed.party_id]):
        raise _no_party()
    known, now = await _known(tx, [sealed])
    new = _unknown([sealed], known)
    value_id = _value_id(sealed, known | {each.digest: each.id for each in new})
    row = _new_row(sealed, value_id, rules.ends_at(sealed.item, now), now)
    answer = row.to_created(now, fingerprint=fingerprint, has_cvc=sealed.taken.has_cvc, reused=False)
    body = msgspec.json.encode(answer)
    writes = [
        *kept(body),
        *queries.inserts_values(new),
        *queries.inserts([row]),
        *telling.telling(tx, [_record(caller, row)], [telling.token_event(VAULT_TOKEN_CREATED, row, now)]),
    ]
    end_with(tx, writes, queries.in_order(writes))
    return body


def _record(caller: Caller, row: TokenRow) -> audit.NewAuditRecord:
    facts = {"kind": row.kind.value, "personal_type": row.personal_type, "single_use": row.single_use}
    return audit.new_record(caller, VAULT_TOKEN_CREATED.name, row.wire_id, facts=facts)


def _of_nobody(verdict: Verdict, held: Collection[UUID]) -> Verdict:
    """Return what comes of a value, whose party may be gone by now."""
    if isinstance(verdict, Sealed) and verdict.party_id is not None and verdict.party_id not in held:
        return _no_party()
    return verdict


async def _write(
    tx: TenantTx,
    caller: Caller,
    made: Sequence[TokenRow],
    sealed: Sequence[Sealed],
    new: Sequence[NewValue],
    *,
    now: datetime,
) -> dict[bytes, UUID]:
    """Write tokens, with what makes their values known, and return the ids of these by digests."""
    if not made:
        return {}
    records = [_record(caller, row) for row in made]
    events = [telling.token_event(VAULT_TOKEN_CREATED, row, now) for row in made]
    if not new:
        await telling.tell(tx, writes=queries.inserts(made), records=records, events=events)
        return {}
    unknown = {each.digest for each in new}
    by = {each.id: digests[0].digest for each in sealed if (digests := _digests(each)) and digests[0].digest in unknown}
    return await queries.insert_with(tx, new, [*queries.inserts(made, by), *telling.telling(tx, records, events)])


def _digests(sealed: Sealed) -> Sequence[Fingerprint]:
    """Return by what a value is known: nothing where it can't be searched."""
    return sealed.taken.fingerprints if sealed.value.searchable else ()


def _alone(sealed: Sequence[Sealed]) -> bool:
    """Tell whether nobody else may take the same values in meanwhile."""
    return any(each.item.dedup == "reuse" for each in sealed)


async def _known(tx: TenantTx, sealed: Sequence[Sealed]) -> tuple[dict[bytes, UUID], datetime]:
    """Return the ids of values that are known, by their digests, and the tenant's time."""
    digests = {each.digest for one in sealed for each in _digests(one)}
    return await queries.lock_values(tx, sorted(digests), alone=_alone(sealed))


def _value_id(sealed: Sealed, known: Mapping[bytes, UUID]) -> UUID | None:
    digests = _digests(sealed)
    return known[digests[0].digest] if digests else None


def _unknown(sealed: Sequence[Sealed], known: Mapping[bytes, UUID]) -> list[NewValue]:
    """Return what is to be known by digests that aren't: a value has one id, under whichever version it is known."""
    new: dict[bytes, NewValue] = {}
    for one in sealed:
        fingerprints = _digests(one)
        value_id = next(
            (
                known[each.digest] if each.digest in known else new[each.digest].id
                for each in fingerprints
                if each.digest in known or each.digest in new
            ),
            None,
        )
        value_id = value_id or vault.random_id()
        for each in fingerprints:
            if each.digest not in known:
                new.setdefault(each.digest, NewValue(each.digest, each.version, purpose_of(one.value), value_id))
    return list(new.values())


def _new_row(sealed: Sealed, fingerprint_id: UUID | None, expires_at: datetime | None, now: datetime) -> TokenRow:
    item = sealed.item
    return TokenRow(
        id=sealed.id,
        place=ids.uuid7(),
        kind=item.kind,
        personal_type=sealed.value.personal_type,
        party_id=sealed.party_id,
        value=sealed.taken.sealed,
        masked=sealed.taken.masked,
        fingerprint_id=fingerprint_id,
        single_use=item.single_use,
        claim=None,
        used_at=None,
        last_used_at=None,
        expires_at=expires_at,
        metadata=item.metadata,
        version=1,
        created_at=now,
        updated_at=now,
        forgotten_at=None,
    )


async def _reusable(tx: TenantTx, rows: Sequence[tuple[int, Sealed, TokenRow]]) -> dict[UUID, list[TokenRow]]:
    """Return the tokens that may be used again, by their value; nobody makes another one meanwhile."""
    asked = [row for _, sealed, row in rows if sealed.item.dedup == "reuse" and row.fingerprint_id is not None]
    found: dict[UUID, list[TokenRow]] = {}
    if asked:
        for row in await queries.list_reusable(tx, asked):
            assert row.fingerprint_id is not None
            found.setdefault(row.fingerprint_id, []).append(row)
    return found


def _is_idle(row: TokenRow, now: datetime) -> bool:
    """Tell whether it may be taken for unused tonight, though it is given out anew."""
    return now - (row.last_used_at or row.created_at) > queries.NOTED


def _match(row: TokenRow, reusable: Mapping[UUID, Sequence[TokenRow]]) -> TokenRow | None:
    """Return the token that stands for the same value, of the same party, shown alike and lasting as long."""
    if row.fingerprint_id is None or row.single_use:
        return None
    return next(
        (
            each
            for each in reusable.get(row.fingerprint_id, ())
            if (each.party_id, each.masked, each.expires_at, each.personal_type)
            == (row.party_id, row.masked, row.expires_at, row.personal_type)
        ),
        None,
    )
