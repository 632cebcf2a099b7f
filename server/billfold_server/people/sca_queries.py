"""The SQL of agreements."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from billfold_server.db.personal import counted
from billfold_server.tenancy.transaction import Tx

__all__ = ["ChallengeRow", "sweep"]


class ChallengeRow(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody is asked to agree to."""

    id: UUID
    user_id: UUID
    kind: str
    object_id: str | None
    amount_minor: int | None
    currency: str | None
    payee: str | None
    payee_key: bytes | None
    terms: str | None
    nonce: bytes
    digest: bytes
    exemption: str | None
    reason: str | None
    state: str
    failures: int
    return_to: str | None
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    used_at: datetime | None


_COLUMNS = ", ".join(ChallengeRow.__struct_fields__)
_PLACES = ", ".join(f"${number}" for number in range(1, len(ChallengeRow.__struct_fields__) + 1))


async def insert(tx: Tx, row: ChallengeRow) -> None:
    """Write a new challenge."""
    await tx.execute(
        f"INSERT INTO sca_challenges ({_COLUMNS}) VALUES ({_PLACES})",  # noqa: S608 - constants
        *msgspec.structs.astuple(row),
    )


_FIND = f"SELECT {_COLUMNS} FROM sca_challenges WHERE id = $1"  # noqa: S608 - constants


async def find(tx: Tx, challenge_id: UUID) -> ChallengeRow | None:
    """Return a challenge, or None."""
    row = await tx.fetchrow(_FIND, challenge_id)
    return None if row is None else ChallengeRow(**dict(row))


async def lock(tx: Tx, challenge_id: UUID) -> ChallengeRow | None:
    """Return a challenge that nobody else may change meanwhile, or None."""
    row = await tx.fetchrow(f"{_FIND} FOR UPDATE", challenge_id)
    return None if row is None else ChallengeRow(**dict(row))


async def complete(
    tx: Tx, challenge_id: UUID, *, amr: Sequence[str], factor_id: UUID | None, evidence: str, now: datetime
) -> None:
    """Note that it was agreed to, and how."""
    sql = """
        UPDATE sca_challenges SET state = 'completed', amr = $2, factor_id = $3, evidence = $4::json, ended_at = $5
        WHERE id = $1
    """
    await tx.execute(sql, challenge_id, amr, factor_id, evidence, now)


async def fail(tx: Tx, challenge_id: UUID, *, void: bool, now: datetime) -> None:
    """Count a failure, which may be the last."""
    sql = """
        UPDATE sca_challenges SET failures = failures + 1, state = CASE WHEN $2 THEN 'voided' ELSE state END,
            ended_at = CASE WHEN $2 THEN $3 ELSE ended_at END
        WHERE id = $1
    """
    await tx.execute(sql, challenge_id, void, now)


async def void(tx: Tx, challenge_id: UUID, now: datetime) -> None:
    """Let it hold for nothing any more; what was agreed to stays as evidence."""
    sql = """
        UPDATE sca_challenges SET state = 'voided', ended_at = $2, exemption = NULL, reason = NULL WHERE id = $1
    """
    await tx.execute(sql, challenge_id, now)


async def void_superseded(
    tx: Tx, user_id: UUID, *, kind: str, object_id: str | None, challenge_id: UUID | None, now: datetime
) -> None:
    """Let what was asked or agreed to before, and not used, hold for nothing: of the same object, or a named one."""
    sql = """
        UPDATE sca_challenges SET state = 'voided', ended_at = $5
        WHERE user_id = $1 AND state IN ('open', 'completed') AND used_at IS NULL AND expires_at > $5
          AND ((kind = $2 AND object_id = $3) OR id = $4)
    """
    await tx.execute(sql, user_id, kind, object_id, challenge_id, now)


async def void_of_factor(tx: Tx, user_id: UUID, factor_id: UUID, now: datetime) -> None:
    """Let what was agreed to with a factor, and not yet used, hold for nothing any more."""
    sql = """
        UPDATE sca_challenges SET state = 'voided', ended_at = $3
        WHERE user_id = $1 AND factor_id = $2 AND state = 'completed' AND used_at IS NULL AND expires_at > $3
    """
    await tx.execute(sql, user_id, factor_id, now)


async def use(tx: Tx, challenge_id: UUID, now: datetime) -> None:
    """Note that it was used."""
    await tx.execute("UPDATE sca_challenges SET used_at = $2 WHERE id = $1", challenge_id, now)


async def exempted_since_sca(tx: Tx, user_id: UUID, currency: str) -> tuple[int, int]:
    """Return how many payments were exempt for their low value since the last authentication, and their sum.

    Payments of all currencies count, and those of this one are summed.
    """
    sql = """
        SELECT count(*), coalesce(sum(amount_minor) FILTER (WHERE currency = $2), 0)::bigint AS sum_minor
        FROM sca_challenges
        WHERE user_id = $1 AND exemption = 'low_value' AND id > coalesce(
            (SELECT id FROM sca_challenges WHERE user_id = $1 AND state = 'completed' ORDER BY id DESC LIMIT 1),
            '00000000-0000-0000-0000-000000000000'
        )
    """
    row = await tx.fetchrow(sql, user_id, currency)
    assert row is not None
    return row["count"], row["sum_minor"]


async def is_trusted(tx: Tx, user_id: UUID, payee_key: bytes) -> bool:
    """Tell whether a payer has put a payee on the list of trusted beneficiaries, and not taken it off since."""
    sql = """
        SELECT kind = 'trusted_beneficiary' FROM sca_challenges
        WHERE user_id = $1 AND payee_key = $2 AND state = 'completed'
          AND kind IN ('trusted_beneficiary', 'untrusted_beneficiary')
        ORDER BY id DESC LIMIT 1
    """
    return bool(await tx.fetchval(sql, user_id, payee_key))


async def is_known_series(
    tx: Tx, user_id: UUID, *, kind: str, payee_key: bytes, amount_minor: int, currency: str
) -> bool:
    """Tell whether a payer has agreed to a payment of this kind with the same payee and amount."""
    sql = """
        SELECT EXISTS (SELECT FROM sca_challenges WHERE user_id = $1 AND kind = $2 AND payee_key = $3
            AND amount_minor = $4 AND currency = $5 AND state = 'completed')
    """
    return bool(await tx.fetchval(sql, user_id, kind, payee_key, amount_minor, currency))


async def sweep(tx: Tx, before: datetime, limit: int) -> int:
    """Delete the oldest challenges that were made before an instant, and return how many.

    They go in the order in which they came: a payee that was taken off the list of trusted ones is never back on it.
    """
    sql = """
        DELETE FROM sca_challenges WHERE id IN (
            SELECT id FROM sca_challenges WHERE created_at < $1 ORDER BY created_at, id LIMIT $2
        )
    """
    return counted(await tx.execute(sql, before, limit))
