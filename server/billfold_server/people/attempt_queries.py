"""The SQL of attempts to get in, which are counted by account and by where they come from."""

from collections.abc import Sequence
from datetime import datetime

from billfold_server.tenancy.transaction import Tx

__all__ = ["block", "blocked_until", "count_attempt", "forget_attempts", "uncount_attempt"]


async def count_attempt(
    tx: Tx, account: bytes, source: bytes, now: datetime, *, forgotten_before: datetime | None
) -> tuple[int, datetime | None]:
    """Count an attempt, and return how many there were in a row and until when none is taken."""
    sql = """
        INSERT INTO sign_in_failures AS f (account, source, failures, last_at) VALUES ($1, $2, 1, $3)
        ON CONFLICT (account, source) DO UPDATE SET
            failures = CASE WHEN f.last_at < $4::timestamptz THEN 1 ELSE f.failures + 1 END, last_at = $3
        RETURNING failures, blocked_until
    """
    row = await tx.fetchrow(sql, account, source, now, forgotten_before)
    assert row is not None
    return row["failures"], row["blocked_until"]


async def uncount_attempt(tx: Tx, account: bytes, source: bytes, until: datetime | None) -> None:
    """Take back an attempt that was counted, and the block until then that it began."""
    sql = """
        UPDATE sign_in_failures SET failures = greatest(failures - 1, 0),
            blocked_until = CASE WHEN blocked_until = $3::timestamptz THEN NULL ELSE blocked_until END
        WHERE account = $1 AND source = $2
    """
    await tx.execute(sql, account, source, until)


async def block(tx: Tx, account: bytes, source: bytes, until: datetime) -> None:
    """Take no attempts until then."""
    sql = "UPDATE sign_in_failures SET blocked_until = $3 WHERE account = $1 AND source = $2"
    await tx.execute(sql, account, source, until)


async def forget_attempts(tx: Tx, account: bytes) -> None:
    """Forget failures at an account."""
    await tx.execute("DELETE FROM sign_in_failures WHERE account = $1", account)


async def blocked_until(tx: Tx, accounts: Sequence[bytes], now: datetime) -> dict[bytes, datetime]:
    """Return which accounts are blocked at the moment, from anywhere, and until when."""
    sql = """
        SELECT account, max(blocked_until) AS until FROM sign_in_failures
        WHERE account = ANY($1) AND blocked_until > $2 GROUP BY account
    """
    return {row["account"]: row["until"] for row in await tx.fetch(sql, accounts, now)}
