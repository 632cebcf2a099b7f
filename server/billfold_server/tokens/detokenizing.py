"""Gives values out: the policy is asked, it is written down who gets what and why, and only then a value is opened.

A value leaves in three steps. In one transaction the limits are counted, what is good for one use is used up, and the
audit is written. Once that has been committed the decryptor is asked. What it gives is answered; what it refuses, or
can't be asked for, is given back, and that is written down too. So nothing is released that isn't in the audit, no
token for one use opens twice, and a failure in between loses a use at worst.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
import structlog

from billfold import errors, ids
from billfold.contract.events import VAULT_TOKEN_DETOKENIZED
from billfold.contract.tokens import (
    BankAccount,
    Detokenize,
    DetokenizedBankAccount,
    DetokenizedVaultTokens,
    DetokenizeVerdict,
    VaultTokenKind,
    VaultTokenStatus,
)
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.db.sets import PLANS, Write, end_with
from billfold_server.decryptor.service import Given, Outgoing, Refused
from billfold_server.http.problems import problem_of, status_of
from billfold_server.http.routing import Call
from billfold_server.people import service as people
from billfold_server.tenancy.manifest import Purpose
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.tokens import counting, queries, rules, telling, vault
from billfold_server.tokens.counting import Counted, Limits
from billfold_server.tokens.rows import TokenRow

__all__ = ["detokenize"]

_log = structlog.stdlib.get_logger("billfold.tokens")
_ACCOUNT: Final = msgspec.json.Decoder(BankAccount)


class _Found(msgspec.Struct, kw_only=True):
    """What was decided on each token of a request.

    Attributes:
        rows: Those that there are.
        refusals: Why some aren't opened; what is refused on the way is added.
        counted: Whether it was too much.
    """

    rows: dict[UUID, TokenRow]
    refusals: dict[UUID, errors.ProblemError]
    counted: Counted


class _Order(msgspec.Struct, frozen=True, kw_only=True):
    """A request that is about to be carried out.

    Attributes:
        claim: Under which tokens are used up.
        token_ids: In order, each once.
    """

    claim: UUID
    token_ids: list[UUID]
    body: Detokenize
    purpose: Purpose
    jwk: dict[str, Any] | None

    @property
    def opens(self) -> bool:
        """Whether values are told, or only what anybody may see of them."""
        return self.purpose.reveal == "full"


async def detokenize(call: Call, body: Detokenize) -> DetokenizedVaultTokens:
    """Tell values to who may have them, with a verdict for each token.

    Raises:
        errors.PurposeNotAllowed: The caller may not have this purpose.
        errors.CardDataNotAllowed: The reason holds what looks like a card's number.
        errors.ResponseKeyInvalid: The caller's key is no point of its curve.
        errors.VaultTokenInvalid: A token is named twice.
        errors.DetokenizationLimitReached: The purpose's limit is used up, so nothing was told.
        errors.KeysUnavailable: The decryptor or the keys can't be reached, so nothing was told or used up.
    """
    rules.refuse_card_numbers({"reason": body.reason})
    jwk = None if body.response_key is None else rules.response_jwk(body.response_key)
    token_ids = [ids.decode(Prefix.VAULT_TOKEN, each) for each in body.vault_token_ids]
    if len(set(token_ids)) < len(token_ids):
        raise errors.VaultTokenInvalid("a vault token is named once", param="vault_token_ids")
    decryptor = vault.decryptor_of(call.services)
    try:
        begun = await _begin(call, body, token_ids, jwk)
    except asyncpg.DivisionByZeroError:
        begun = await _begin(call, body, token_ids, jwk, count_first=True)
    if begun is None:
        raise errors.PurposeNotAllowed(param="purpose")
    order, found = begun
    if over := found.counted:
        raise errors.DetokenizationLimitReached(limit=over.limit, per=over.per, retry_after_s=over.retry_after_s)
    wanted = [found.rows[each] for each in token_ids if order.opens and each not in found.refusals]
    given: dict[UUID, Given] = {}
    if wanted:
        try:
            answers = await decryptor.give_out(call.tenant, [_outgoing(order, row) for row in wanted])
        except BaseException:
            await _give_back(call, order, found.counted, wanted, "keys_unavailable")
            raise
        lost = [row for row, answer in zip(wanted, answers, strict=True) if isinstance(answer, Refused)]
        for row, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, Refused):
                found.refusals[row.id] = vault.error_of(answer, "vault_token_ids")
            else:
                given[row.id] = answer
        if lost:
            await _give_back(call, order, found.counted, lost, "refused")
    return _answer(call, order, found, given)


async def _begin(
    call: Call, body: Detokenize, token_ids: list[UUID], jwk: dict[str, Any] | None, *, count_first: bool = False
) -> tuple[_Order, _Found] | None:
    """Decide on a request, and write that down; None where the caller may not have the purpose.

    Args:
        call: The request.
        body: What is asked for.
        token_ids: The same as ids.
        jwk: To whom values are encrypted.
        count_first: Whether limits are counted before anything is written, as where one is reached.

    Raises:
        asyncpg.DivisionByZeroError: They have to be, and nothing was written.
    """
    async with call.tx(begin_sql=PLANS) as tx:
        purpose = await _admitted(call, tx, body.purpose)
        if purpose is None:
            return None
        order = _Order(claim=vault.random_id(), token_ids=token_ids, body=body, purpose=purpose, jwk=jwk)
        return order, await _prepare(call, tx, order, count_first=count_first)


async def _admitted(call: Call, tx: TenantTx, name: str) -> Purpose | None:
    """Return the purpose if the caller may have it; that somebody tried what they may not is written down."""
    caller, part = call.caller, call.tenant.manifest.tokenization
    roles: Sequence[str] | None = None
    if caller.user_id is not None:
        standing = await people.standing_of(tx, caller.user_id)
        roles = () if standing is None else standing.roles
    try:
        return rules.purpose_for(part, name, scopes=caller.scopes, client_id=caller.client_id, roles=roles)
    except errors.PurposeNotAllowed as error:
        # Only a name that the manifest knows is written down: anything may be sent as one.
        facts = {"code": error.code, "purpose": name if name in part.purposes else None}
        record = audit.new_record(caller, telling.REFUSED, telling.caller_id(caller), facts=facts)
        await telling.tell(tx, records=[record])
        return None


async def _prepare(call: Call, tx: TenantTx, order: _Order, *, count_first: bool) -> _Found:
    """Decide on each token, use up what is good for one use, and write down what is about to be told."""
    rows, now = await queries.find_many(tx, order.token_ids)
    decided = ((each, _refusal(order, rows.get(each), now)) for each in order.token_ids)
    refusals = {token_id: refusal for token_id, refusal in decided if refusal is not None}
    purpose, name, number = order.purpose, order.body.purpose, len(order.token_ids)
    limits = Limits(per_hour=purpose.per_hour, per_day=purpose.per_day, alarm_per_hour=purpose.alarm_per_hour)
    opened = [rows[each] for each in order.token_ids if order.opens and each not in refusals]
    found = _Found(rows=rows, refusals=refusals, counted=Counted())
    # What is used up is held until the end, so everybody counts before that.
    if not count_first and not any(row.single_use for row in opened):
        writes = _writes(call, tx, order, found, now)
        found.counted = counting.count_at_end(call, tx, name, number, limits, writes=writes)
        return found
    found.counted = counted = await counting.count(call, tx, name, number, limits)
    if counted:
        code = errors.DetokenizationLimitReached.code
        record = _record(call, order, telling.REFUSED, telling.caller_id(call.caller), code=code)
        await telling.tell(tx, records=[record, *counted.records], events=counted.events)
        return found
    once = [row.id for row in opened if row.single_use]
    if once:
        mine = await queries.claim(tx, once, order.claim, now)
        for each in set(once) - mine:
            # Whoever comes second is refused.
            found.refusals[each] = errors.VaultTokenUsed(param="vault_token_ids")
    end_with(tx, _writes(call, tx, order, found, now))
    return found


def _refusal(order: _Order, row: TokenRow | None, now: datetime) -> errors.ProblemError | None:
    """Return why a token isn't opened for a purpose, or None."""
    param = "vault_token_ids"
    if row is None:
        return errors.NotFound("there is no such vault token", param=param)
    purpose = order.purpose
    of_kind = row.kind.value in purpose.kinds and (row.personal_type in {None, *purpose.personal_types})
    status = row.status(now)
    # In order of precedence: what was erased is gone for whoever asks, and a purpose comes before what it would meet.
    reasons: tuple[tuple[bool, type[errors.ProblemError], str], ...] = (
        (row.forgotten_at is not None, errors.TokenForgotten, param),
        (not of_kind, errors.PurposeNotAllowed, param),
        (status is VaultTokenStatus.USED, errors.VaultTokenUsed, param),
        (status is VaultTokenStatus.EXPIRED, errors.VaultTokenExpired, param),
        (order.opens and row.single_use and not purpose.single_use, errors.PurposeNotAllowed, param),
        (
            order.opens and row.kind is VaultTokenKind.CARD and order.jwk is None,
            errors.ResponseKeyRequired,
            "response_key",
        ),
    )
    return next((error(param=blamed) for holds, error, blamed in reasons if holds), None)


def _writes(call: Call, tx: TenantTx, order: _Order, found: _Found, now: datetime) -> list[Write]:
    """Return what writes down for each token that its value is about to be told, or that it isn't and why."""
    records, events = list(found.counted.records), list(found.counted.events)
    noted: list[UUID] = []
    for token_id in order.token_ids:
        wire_id = ids.encode(Prefix.VAULT_TOKEN, token_id)
        if token_id in found.refusals:
            records.append(_record(call, order, telling.REFUSED, wire_id, code=found.refusals[token_id].code))
            continue
        row = found.rows[token_id]
        records.append(_record(call, order, VAULT_TOKEN_DETOKENIZED.name, wire_id, kind=row.kind.value))
        events.append(telling.token_event(VAULT_TOKEN_DETOKENIZED, row, now, purpose=order.body.purpose))
        lately = row.last_used_at is not None and now - row.last_used_at <= queries.NOTED
        if order.opens and not row.single_use and not lately:
            noted.append(token_id)
    return [*queries.notes_use(noted, now), *telling.telling(tx, records, events)]


def _record(call: Call, order: _Order, action: str, object_id: str, **facts: str) -> audit.NewAuditRecord:
    purpose = order.purpose
    what: dict[str, Any] = {"purpose": order.body.purpose, "reveal": purpose.reveal, **facts}
    if facts.get("kind") == "card" and order.opens:
        what["fields"] = purpose.fields
    return audit.new_record(call.caller, action, object_id, reason=order.body.reason, facts=what)


def _outgoing(order: _Order, row: TokenRow) -> Outgoing:
    assert row.value is not None, "what was forgotten is refused"
    is_card = row.kind is VaultTokenKind.CARD
    return Outgoing(
        token_id=row.id,
        kind=row.kind.value,
        sealed=row.value,
        response_jwk=order.jwk,
        with_cvc=is_card and "cvc" in order.purpose.fields,
        fields=order.purpose.fields if is_card else None,
    )


async def _give_back(call: Call, order: _Order, counted: Counted, rows: Sequence[TokenRow], code: str) -> None:
    """Give back what was used up and counted for values that were not told after all, and write that down."""
    name, caller = order.body.purpose, telling.caller_id(call.caller)
    try:
        async with call.services.database.tx(call.tenant) as tx:
            await queries.unclaim(tx, [row.id for row in rows if row.single_use], order.claim)
            if counted.windows:
                await queries.uncount(tx, caller, name, len(rows), counted.windows, refused=False)
            records = [_record(call, order, telling.NOT_RELEASED, row.wire_id, code=code) for row in rows]
            await telling.tell(tx, records=records)
    except Exception:  # noqa: BLE001 - The caller hears of the first failure.
        # What was used up stays so, which is the safe side; the answer is what it was.
        _log.exception("a use couldn't be given back")


def _answer(call: Call, order: _Order, found: _Found, given: Mapping[UUID, Given]) -> DetokenizedVaultTokens:
    results = [
        _refused(call, token_id, found.rows.get(token_id), found.refusals[token_id])
        if token_id in found.refusals
        else _told(found.rows[token_id], given.get(token_id))
        for token_id in order.token_ids
    ]
    metrics = call.services.metrics
    for kind in VaultTokenKind:
        released = sum(each.kind is kind and each.problem is None for each in results)
        metrics.vault_tokens("released", kind.value, released)
    metrics.vault_tokens("refused", "", len(found.refusals))
    return DetokenizedVaultTokens(
        purpose=order.body.purpose,
        reveal=order.purpose.reveal,
        released=len(results) - len(found.refusals),
        refused=len(found.refusals),
        results=results,
    )


def _refused(call: Call, token_id: UUID, row: TokenRow | None, error: errors.ProblemError) -> DetokenizeVerdict:
    return DetokenizeVerdict(
        vault_token_id=ids.encode(Prefix.VAULT_TOKEN, token_id),
        status=status_of(type(error)),
        kind=None if row is None else row.kind,
        jwe=None,
        bank_account=None,
        personal=None,
        card=None,
        bank_account_mask=None,
        problem=problem_of(error, call.request_id),
    )


def _told(row: TokenRow, given: Given | None) -> DetokenizeVerdict:
    """Return a value as it is told; without one, what anybody may see of it."""
    account: DetokenizedBankAccount | None = None
    personal: str | None = None
    if given is not None and given.plain is not None:
        if row.kind is VaultTokenKind.BANK_ACCOUNT:
            account = DetokenizedBankAccount(**msgspec.structs.asdict(_ACCOUNT.decode(given.plain)))
        elif row.kind is VaultTokenKind.PERSONAL:
            personal = given.plain.decode()
    return DetokenizeVerdict(
        vault_token_id=row.wire_id,
        status=200,
        kind=row.kind,
        jwe=None if given is None else given.jwe,
        bank_account=account,
        personal=personal,
        card=row.card if given is None else None,
        bank_account_mask=row.bank_account if given is None else None,
        problem=None,
    )
