"""Idempotency of what doesn't go through the ledger's engine: a request with a key is carried out once.

The key's row is written first, in the transaction of the request itself. A copy that arrives meanwhile waits for that
row and finds the answer there when the first one commits; if the first one fails for good, the row was never there and
the copy is carried out instead. So what was done and what was answered are one thing, in every process and after every
crash.

Kept are successes and the refusals that depend on state; what such a refusal had begun is undone, while the refusal
itself is kept. Anything else (a body that can't be read, a lack of rights, a failure of ours) may go differently next
time.

Source: IETF draft ``draft-ietf-httpapi-idempotency-key-header``, and RFC 8941, section 3.3.3, for the key's form.
"""

import hmac
import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from billfold import errors
from billfold.errors import ProblemError
from billfold_server.db.personal import counted
from billfold_server.db.sets import Write
from billfold_server.http import card_numbers, problems
from billfold_server.http.reading import canonical, validation_failed
from billfold_server.http.routing import Call, Reply
from billfold_server.keys.service import TENANT_SUBJECT, Place, Sealer
from billfold_server.tenancy.context import IdempotencyRef
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "HEADER",
    "Fingerprints",
    "KeptAnswer",
    "canonical",
    "carry_out",
    "expire",
    "expire_of_others",
    "fingerprint",
    "in_flight",
    "is_answered",
    "is_in_flight",
    "is_kept",
    "is_sealed",
    "kept_at_once",
    "once",
    "read_key",
]

HEADER: Final = "Idempotency-Key"

Work = Callable[[TenantTx], Awaitable[Any]]
"""Does what was asked for, and returns the answer as a Struct."""


class KeptAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a request.

    Attributes:
        status: The HTTP status.
        body: The JSON that was answered, to the byte.
        replayed: Whether it is the answer to an earlier copy.
        error: The refusal, where it was one and happened just now.
    """

    status: int
    body: bytes
    replayed: bool = False
    error: ProblemError | None = None


_PLAIN = re.compile(r"[!#-~][!-~]{0,254}")
_BARE = re.compile(r"[!-~]{1,255}")
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')


def read_key(header: str) -> str:
    """Return the key that a header names, either as the draft's string in quotes or bare.

    ``"8e03…"`` and ``8e03…`` are the same key.

    Raises:
        errors.ValidationFailed: It isn't of 1 to 255 visible ASCII characters, its quotes don't match, or it looks like
            a card's number.
    """
    if _PLAIN.fullmatch(header):
        return _without_card(header)
    text = header.strip(" \t")
    if text.startswith('"'):
        match = _QUOTED.fullmatch(text)
        text = re.sub(r"\\(.)", r"\1", match[1]) if match else ""
    if not _BARE.fullmatch(text):
        raise validation_failed(HEADER, "must be 1 to 255 visible ASCII characters, bare or as a string in quotes")
    return _without_card(text)


def _without_card(key: str) -> str:
    """Return a key, which is kept as it is and so mustn't be a card's number."""
    if card_numbers.holds_card_number(key, fewest=card_numbers.FEWEST_ANYWHERE):
        raise validation_failed(HEADER, card_numbers.REASON)
    return key


def fingerprint(secret: bytes, method: str, path: str, body: bytes) -> bytes:
    """Return the keyed digest by which a copy of a request is told from another request (HMAC-SHA-256, 32 bytes).

    It has a key, because what was asked for may be guessed and must not be confirmed by what the database holds.

    Args:
        secret: The key.
        method: Upper-case HTTP method.
        path: The path below the tenant's base.
        body: What it says: ``canonical`` of JSON, the bytes themselves of anything else.
    """
    return Fingerprints(secret, method, path).of(body)


class Fingerprints:
    """The fingerprints of requests of one method and path, which are digested once for all.

    Args:
        secret: As of ``fingerprint``.
        method: As of ``fingerprint``.
        path: As of ``fingerprint``.
    """

    def __init__(self, secret: bytes, method: str, path: str) -> None:
        begun = _measured(method.encode()) + _measured(path.encode())
        self._begun = hmac.new(secret, begun, "sha256")

    def of(self, body: bytes) -> bytes:
        """Return the fingerprint of a request with this body."""
        digest = self._begun.copy()
        digest.update(_measured(body))
        return digest.digest()


def _measured(part: bytes) -> bytes:
    """Put a part's length before it, so that no two requests can be read as the same text."""
    return len(part).to_bytes(8, "big") + part


def is_kept(error: ProblemError) -> bool:
    """Tell whether a refusal is the answer to every later copy, too: it depends on state, and not on luck."""
    if isinstance(error, errors.RequestInFlight | errors.BulkAborted):
        return False
    return isinstance(error, errors.Conflict | errors.Unprocessable)


_CLAIM = """
INSERT INTO idempotency_keys (client_id, key, fingerprint, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (client_id, key) DO NOTHING
RETURNING true
"""
_FIND = "SELECT fingerprint, status, body FROM idempotency_keys WHERE client_id = $1 AND key = $2"
_KEEP = "UPDATE idempotency_keys SET status = $3, body = $4 WHERE client_id = $1 AND key = $2"
_EXPIRE = """
DELETE FROM idempotency_keys
WHERE (client_id, key) IN (SELECT client_id, key FROM idempotency_keys WHERE created_at < $1 LIMIT $2)
"""


_EXPIRE_OF_OTHERS = """
DELETE FROM idempotency_keys
WHERE (client_id, key) IN (
    SELECT client_id, key FROM idempotency_keys WHERE created_at < $1 AND position(' ' IN key) > 0 LIMIT $2
)
"""


async def once(call: Call, work: Work, *, status: int = 200, subject: UUID = TENANT_SUBJECT) -> Reply[Any]:
    """Carry out a request in a transaction of the tenant, once per key where it has one.

    Args:
        call: The request.
        work: Does what was asked for; it may be left undone if the answer is known already.
        status: The HTTP status of success.
        subject: The party of whom the answer tells, if it is one: what is kept of it then goes with its keys.

    Raises:
        errors.SubjectForgotten: The party was forgotten, and the answer with it.
        errors.RequestInFlight: A copy is still being carried out.
        errors.IdempotencyKeyReused: The key belongs to another request.
        ProblemError: What the work refuses.
    """
    ref = call.idempotency
    if ref is None:
        async with call.tx() as tx:
            return Reply(body=msgspec.json.encode(await work(tx)), status=status)
    keys = call.services.keys
    # Keys are asked for before the transaction and after it, never in it.
    sealer = await keys.sealer(call.tenant, subject) if call.personal else None
    async with call.tx() as tx:
        answer = await carry_out(
            tx, ref, work, status=status, request_id=call.request_id, now=call.services.clock.now(), sealer=sealer
        )
    if answer.error is not None:
        raise answer.error
    body = answer.body
    if answer.replayed and is_sealed(body):
        body = (await keys.opener(call.tenant, [body])).open(_place(ref), body)
    return Reply(body=body, status=answer.status, replayed=answer.replayed)


async def is_answered(tx: TenantTx, ref: IdempotencyRef) -> bool:
    """Tell whether a request was answered under its key, so that its copy is told the same and does nothing.

    Raises:
        errors.IdempotencyKeyReused: The key belongs to another request.
    """
    stored = await tx.fetchrow(_FIND, ref.client_id, ref.key)
    return stored is not None and _replay(ref, stored).replayed


_SEALED: Final = b"\x01"


def is_sealed(body: bytes) -> bool:
    """Tell whether a kept answer is sealed: no JSON begins with the byte that says how."""
    return body[:1] == _SEALED


def _place(ref: IdempotencyRef) -> Place:
    # As a primary key of two columns is named wherever a backup is searched for what can still be opened.
    return Place("idempotency_keys", f"{ref.client_id} {ref.key}", "body")


async def carry_out(
    tx: TenantTx,
    ref: IdempotencyRef,
    work: Work,
    *,
    status: int,
    request_id: str,
    now: datetime,
    sealer: Sealer | None = None,
) -> KeptAnswer:
    """Carry out a request under its key within a transaction, which must then commit, also if it was refused.

    Args:
        tx: The tenant's transaction, at its beginning: nothing but who asks may be locked yet (ADR 71).
        ref: The key and the request's fingerprint.
        work: Does what was asked for.
        status: The HTTP status of success.
        request_id: The request, for the problem that a refusal makes.
        now: The real time, from which the key's age counts.
        sealer: Seals the answer where it lies, if it tells of people; a replayed one comes back sealed.

    Raises:
        errors.RequestInFlight: A copy is still being carried out, for longer than the transaction waits for locks.
        errors.IdempotencyKeyReused: The key belongs to another request.
        ProblemError: What the work refuses and is not kept.
    """
    while not await _claim(tx, ref, now):
        stored = await tx.fetchrow(_FIND, ref.client_id, ref.key)
        # The row may have expired between the two statements; then the key is free again.
        if stored is not None:
            return _replay(ref, stored)
    answer = await _attempt(tx, work, status, request_id)
    # A refusal says nothing of anybody.
    kept = answer.body
    if sealer is not None and answer.error is None:
        kept = sealer.seal(_place(ref), kept)
    await tx.execute(_KEEP, ref.client_id, ref.key, answer.status, kept)
    return answer


_KEPT_AT_ONCE = """
INSERT INTO idempotency_keys (client_id, key, fingerprint, created_at, status, body)
VALUES ($1::uuid, $2::text, $3::bytea, $4::timestamptz, $5::smallint, $6::bytea) RETURNING key
"""


def kept_at_once(ref: IdempotencyRef, *, status: int, body: bytes, now: datetime) -> Write:
    """Return what keeps the answer to a request that was carried out without claiming its key before.

    The key's row is called ``kept_answer`` in the statement. Where the key is somebody's already, be it a copy that was
    carried out meanwhile, the statement fails for a unique key, and whoever sends it takes everything back and goes by
    ``once``. Where the copy takes too long, ``is_in_flight`` tells so.

    Args:
        ref: The key and the request's fingerprint.
        status: The HTTP status.
        body: The JSON that is answered.
        now: The real time, from which the key's age counts.
    """
    arguments = (ref.client_id, ref.key, ref.fingerprint, now, status, body)
    return Write(_KEPT_AT_ONCE, arguments, name="kept_answer")


def is_in_flight(error: errors.Busy) -> bool:
    """Tell whether what was waited for in vain is a copy of the request, and not another lock."""
    cause = error.__cause__
    # PostgreSQL says which table it was inserting into, of which there are partitions.
    return isinstance(cause, asyncpg.LockNotAvailableError) and "idempotency_keys" in str(
        cause.as_dict().get("context")
    )


def in_flight() -> errors.RequestInFlight:
    """Make the error that says that a copy is still being carried out."""
    return errors.RequestInFlight("a request with this key is still being carried out", param=HEADER)


async def expire(tx: TenantTx, before: datetime, limit: int) -> int:
    """Forget keys that were first used before an instant, and return how many."""
    return counted(await tx.execute(_EXPIRE, before, limit))


async def expire_of_others(tx: TenantTx, before: datetime, limit: int) -> int:
    """Forget keys of other standards' interfaces, which name their operation before a space that no key of ours has."""
    return counted(await tx.execute(_EXPIRE_OF_OTHERS, before, limit))


async def _claim(tx: TenantTx, ref: IdempotencyRef, now: datetime) -> bool:
    try:
        return bool(await tx.fetchval(_CLAIM, ref.client_id, ref.key, ref.fingerprint, now))
    except asyncpg.LockNotAvailableError as error:
        raise in_flight() from error


def _replay(ref: IdempotencyRef, stored: asyncpg.Record) -> KeptAnswer:
    if not hmac.compare_digest(stored["fingerprint"], ref.fingerprint):
        raise errors.IdempotencyKeyReused(
            "the key belongs to a request with another method, path or body", param=HEADER
        )
    assert stored["status"] is not None, "a request commits with its answer"
    return KeptAnswer(status=stored["status"], body=stored["body"], replayed=True)


async def _attempt(tx: TenantTx, work: Work, status: int, request_id: str) -> KeptAnswer:
    """Do the work behind a savepoint, so that a refusal takes back what was begun but not the key."""
    await tx.execute("SAVEPOINT attempt")
    try:
        result = await work(tx)
    except ProblemError as error:
        if not is_kept(error):
            raise
        await tx.execute("ROLLBACK TO SAVEPOINT attempt")
        return KeptAnswer(
            status=problems.status_of(type(error)), body=problems.encode_problem(error, request_id), error=error
        )
    return KeptAnswer(status=status, body=msgspec.json.encode(result))
