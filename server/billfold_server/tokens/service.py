"""The vault as other rooms and the HTTP edge know it."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from msgspec import UNSET

from billfold import errors, ids
from billfold.contract.events import VAULT_TOKEN_DELETED, VAULT_TOKEN_UPDATED
from billfold.contract.tokens import (
    CreateVaultToken,
    EncryptionKey,
    EncryptionKeys,
    SearchVaultTokens,
    UpdateVaultToken,
    VaultToken,
    VaultTokenCreated,
    VaultTokenKind,
    VaultTokenMatches,
    VaultTokenVerdict,
    VaultTokenVerdicts,
)
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.db.jobs import JobRun
from billfold_server.db.sets import PLANS, Write
from billfold_server.decryptor.service import Refused
from billfold_server.http import idempotency
from billfold_server.http.problems import problem_of, status_of
from billfold_server.http.routing import Call, Reply
from billfold_server.http.services import Services
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.tokens import counting, queries, retaining, rules, taking, telling, vault
from billfold_server.tokens.counting import Limits
from billfold_server.tokens.detokenizing import detokenize
from billfold_server.tokens.forgetting import forget
from billfold_server.tokens.retaining import retain
from billfold_server.tokens.rows import TokenRow

__all__ = [
    "create",
    "create_many",
    "delete",
    "detokenize",
    "encryption_keys",
    "forget",
    "get",
    "list_tokens",
    "reindex",
    "retain",
    "search",
    "update",
]

_SEES_FINGERPRINTS: Final = "tokens:search"
_MOST_MATCHES: Final = 100
_CREATED: Final = 201


def _sees_fingerprints(caller: Caller) -> bool:
    return _SEES_FINGERPRINTS in caller.scopes


def _require_search(caller: Caller) -> None:
    if not _sees_fingerprints(caller):
        raise errors.InsufficientScope(
            f"looking for a value needs the scope {_SEES_FINGERPRINTS}", scope=_SEES_FINGERPRINTS
        )


# Taking in.


async def create(call: Call, body: CreateVaultToken) -> Reply[VaultTokenCreated]:
    """Take a value in.

    Raises:
        errors.ProblemError: It can't be taken.
        errors.InsufficientScope: It asks for the token that is there already, and the caller may not search.
        errors.SearchLimitReached: It does so, and the caller has searched too often.
        errors.KeysUnavailable: The decryptor or the keys can't be reached.
    """
    await _count_reuses(call, [body])
    verdicts = await taking.seal(call, [body])
    for verdict in verdicts:
        if isinstance(verdict, errors.ProblemError):
            raise verdict

    async def work(tx: TenantTx) -> VaultTokenCreated:
        (answer,) = await taking.keep(tx, call.caller, verdicts, fingerprint=_sees_fingerprints(call.caller))
        if isinstance(answer, errors.ProblemError):
            raise answer
        return answer

    reply = await _keep_at_end(call, verdicts) or await idempotency.once(call, work, status=_CREATED)
    call.services.metrics.vault_tokens("taken", body.kind.value, 1)
    return reply


async def _keep_at_end(call: Call, verdicts: Sequence[taking.Verdict]) -> Reply[VaultTokenCreated] | None:
    """Write a token and the answer at once, or return None where that takes a closer look, with nothing written.

    Such are copies of a request, tokens that may be there already, values that somebody else takes in at the same
    moment, and refusals that are kept.
    """
    (sealed,) = verdicts
    if not isinstance(sealed, taking.Sealed) or sealed.item.dedup == "reuse" or call.personal:
        return None
    ref, now = call.idempotency, call.services.clock.now()

    def kept(body: bytes) -> list[Write]:
        return [] if ref is None else [idempotency.kept_at_once(ref, status=_CREATED, body=body, now=now)]

    fingerprint = _sees_fingerprints(call.caller)
    try:
        async with call.tx(begin_sql=PLANS) as tx:
            body = await taking.keep_at_end(tx, call.caller, sealed, fingerprint=fingerprint, kept=kept)
    except errors.Busy as error:
        if idempotency.is_in_flight(error):
            raise idempotency.in_flight() from error
        raise
    except (asyncpg.UniqueViolationError, errors.NotFound, errors.VaultTokenInvalid):
        return None
    return Reply(body=body, status=_CREATED)


async def create_many(
    call: Call,
    items: Sequence[CreateVaultToken],
    *,
    together_with: Callable[[TenantTx], Awaitable[None]] | None = None,
) -> Reply[VaultTokenVerdicts]:
    """Take many values in, each for itself, in one transaction.

    Args:
        call: Who takes them in, and where.
        items: The values.
        together_with: What else is done in that transaction, before.

    Raises:
        errors.InsufficientScope: Some ask for the token that is there already, and the caller may not search.
        errors.SearchLimitReached: Some do so, and the caller has searched too often.
        errors.KeysUnavailable: The decryptor or the keys can't be reached, and nothing was taken in.
    """
    await _count_reuses(call, items)
    verdicts = await taking.seal(call, items)

    async def work(tx: TenantTx) -> VaultTokenVerdicts:
        if together_with is not None:
            await together_with(tx)
        answers = await taking.keep(tx, call.caller, verdicts, fingerprint=_sees_fingerprints(call.caller))
        results = [_verdict(answer, call.request_id) for answer in answers]
        reused = sum(each.vault_token is not None and each.vault_token.reused for each in results)
        refused = sum(each.problem is not None for each in results)
        return VaultTokenVerdicts(
            created=len(results) - refused - reused, reused=reused, refused=refused, results=results
        )

    reply = await idempotency.once(call, work)
    for kind in VaultTokenKind:
        call.services.metrics.vault_tokens("taken", kind.value, sum(item.kind is kind for item in items))
    return reply


async def _count_reuses(call: Call, items: Sequence[CreateVaultToken]) -> None:
    """Count those who ask for the token that is there already as searches, for the answer tells that there is one."""
    asked = [item for item in items if item.dedup == "reuse"]
    if asked:
        _require_search(call.caller)
        kinds = [(item.kind, None if item.personal is None else item.personal.type) for item in asked]
        await _count_searches(call, kinds)


def _verdict(answer: VaultTokenCreated | errors.ProblemError, request_id: str) -> VaultTokenVerdict:
    if isinstance(answer, errors.ProblemError):
        return VaultTokenVerdict(
            status=status_of(type(answer)), vault_token=None, problem=problem_of(answer, request_id)
        )
    return VaultTokenVerdict(status=200 if answer.reused else 201, vault_token=answer, problem=None)


async def encryption_keys(call: Call) -> EncryptionKeys:
    """Return the keys to which values are encrypted, the one to use first.

    Raises:
        errors.KeysUnavailable: The decryptor or the keys can't be reached.
    """
    keys = await vault.decryptor_of(call.services).public_keys(call.tenant)
    return EncryptionKeys(
        audience=call.services.identity.realm(call.tenant).issuer,
        keys=[msgspec.convert({**key.jwk, "not_after": key.not_after}, EncryptionKey) for key in keys],
    )


# Looking at tokens.


def _existing(found: tuple[TokenRow, datetime] | None) -> tuple[TokenRow, datetime]:
    if found is None:
        raise errors.NotFound("there is no such vault token", param="vault_token_id")
    if found[0].forgotten_at is not None:
        raise errors.TokenForgotten(param="vault_token_id")
    return found


async def get(tx: TenantTx, caller: Caller, token_id: UUID) -> VaultToken:
    """Return a token without its value.

    Raises:
        errors.NotFound: The tenant has no such token.
        errors.TokenForgotten: Its value was erased.
    """
    row, now = _existing(await queries.find(tx, token_id))
    return row.to_response(now, fingerprint=_sees_fingerprints(caller))


async def list_tokens(
    tx: TenantTx,
    caller: Caller,
    *,
    party_id: UUID | None,
    kind: VaultTokenKind | None,
    fingerprint_id: UUID | None,
    before: UUID | None,
    limit: int,
) -> list[tuple[UUID, VaultToken]]:
    """Return tokens that meet all conditions given, the newest first, each with its place in the list."""
    if fingerprint_id is not None:
        _require_search(caller)
    rows = await queries.list_page(
        tx,
        party_id=party_id,
        kind=None if kind is None else kind.value,
        fingerprint_id=fingerprint_id,
        before=before,
        limit=limit,
    )
    return [(row.place, row.to_response(now, fingerprint=_sees_fingerprints(caller))) for row, now in rows]


async def search(call: Call, body: SearchVaultTokens) -> VaultTokenMatches:
    """Return the tokens of a value, which is counted and recorded: who may try many values can find one.

    Raises:
        errors.SearchLimitReached: The caller has searched too often.
        errors.PersonalValueInvalid: Such values can't be found.
        errors.KeysUnavailable: The decryptor or the keys can't be reached.
    """
    part = call.tenant.manifest.tokenization
    value = rules.value_of(part, body.kind, jwe=body.jwe, bank_account=body.bank_account, personal=body.personal)
    if not value.searchable:
        raise errors.PersonalTypeUnknown("values of this type can't be found", param="personal.type")
    await _count_searches(call, [(body.kind, value.personal_type)])
    decryptor = vault.decryptor_of(call.services)
    text = value.jwe or value.plain or ""
    (found,) = await decryptor.fingerprints(call.tenant, body.kind.value, [text], value.personal_type)
    if isinstance(found, Refused):
        raise vault.error_of(found, "jwe" if value.jwe is not None else body.kind.value)
    async with call.tx() as tx:
        fingerprint_id = await queries.find_values(tx, found)
        if fingerprint_id is None:
            return VaultTokenMatches(fingerprint=None, data=[])
        rows = await queries.list_page(tx, fingerprint_id=fingerprint_id, limit=_MOST_MATCHES)
    return VaultTokenMatches(
        fingerprint=ids.encode(Prefix.FINGERPRINT, fingerprint_id),
        data=[row.to_response(now, fingerprint=True) for row, now in rows],
    )


async def _count_searches(call: Call, kinds: Sequence[tuple[VaultTokenKind, str | None]]) -> None:
    """Count and record searches, by the kind and the type of what is looked for."""
    most = call.tenant.manifest.tokenization.searches_per_hour
    object_id = telling.caller_id(call.caller)
    async with call.tx() as tx:
        over = await counting.count(call, tx, rules.SEARCH, len(kinds), Limits(per_hour=most))
        action = telling.REFUSED if over else telling.SEARCHED
        records = [
            audit.new_record(call.caller, action, object_id, facts={"kind": kind.value, "personal_type": type_})
            for kind, type_ in kinds
        ]
        await telling.tell(tx, records=[*records, *over.records], events=over.events)
    if over:
        raise errors.SearchLimitReached(limit=most, retry_after_s=over.retry_after_s)


# Changing and deleting.


async def update(
    tx: TenantTx, caller: Caller, token_id: UUID, body: UpdateVaultToken, *, check_version: Callable[[int], None]
) -> VaultToken:
    """Change what is said of a token. What changes nothing leaves no trace.

    Raises:
        errors.NotFound: The tenant has no such token.
        errors.TokenForgotten: Its value was erased.
        errors.PreconditionFailed: It has changed since the caller read it.
        errors.VaultTokenExpired: It has expired, which is for good.
        errors.VaultTokenInvalid: The new end lies in the past.
        errors.CardDataNotAllowed: The metadata holds what looks like a card's number.
    """
    row, now = _existing(await queries.lock(tx, token_id))
    check_version(row.version)
    asked: dict[str, Any] = {
        name: value for name in body.__struct_fields__ if (value := getattr(body, name)) is not UNSET
    }
    changes = {name: value for name, value in asked.items() if value != getattr(row, name)}
    if not changes:
        return row.to_response(now, fingerprint=_sees_fingerprints(caller))
    metadata = changes.get("metadata", {})
    rules.refuse_card_numbers({"metadata": " \n ".join([*metadata, *metadata.values()])})
    if "expires_at" in changes:
        if row.expires_at is not None and row.expires_at <= now:
            raise errors.VaultTokenExpired(param="vault_token_id")
        if changes["expires_at"] is not None and changes["expires_at"] <= now:
            raise errors.VaultTokenInvalid("a token's end lies ahead", param="expires_at")
    row = msgspec.structs.replace(row, **changes, version=row.version + 1, updated_at=max(now, row.updated_at))
    await queries.update(
        tx,
        token_id,
        metadata=msgspec.json.encode(row.metadata).decode(),
        expires_at=row.expires_at,
        version=row.version,
        now=row.updated_at,
    )
    record = audit.new_record(caller, VAULT_TOKEN_UPDATED.name, row.wire_id, facts={"changed": sorted(changes)})
    await telling.tell(tx, records=[record], events=[telling.token_event(VAULT_TOKEN_UPDATED, row, now)])
    return row.to_response(now, fingerprint=_sees_fingerprints(caller))


async def delete(tx: TenantTx, caller: Caller, token_id: UUID, *, reason: str | None) -> None:
    """Delete a token with its value.

    Raises:
        errors.NotFound: The tenant has no such token.
        errors.CardDataNotAllowed: The reason holds what looks like a card's number.
    """
    rules.refuse_card_numbers({"reason": reason})
    found = await queries.find(tx, token_id)
    row = await queries.delete(tx, token_id)
    if row is None or found is None:
        raise errors.NotFound("there is no such vault token", param="vault_token_id")
    if row.fingerprint_id is not None:
        await queries.delete_fingerprints(tx, [row.fingerprint_id])
    record = audit.new_record(
        caller, VAULT_TOKEN_DELETED.name, row.wire_id, reason=reason, facts={"kind": row.kind.value}
    )
    await telling.tell(tx, records=[record], events=[telling.token_event(VAULT_TOKEN_DELETED, row, found[1])])


# For other rooms and for jobs.


async def reindex(run: JobRun, services: Services) -> None:
    """Make every value known by the newest version of the key of its fingerprints."""
    await retaining.reindex(run, vault.decryptor_of(services))
