"""A long history, written by SQL: what the engine would have written, had it had some hours.

Each wallet is funded; then money goes round: every wallet pays one unit to the next in a fixed, scattered order, again
and again. So each balance after each posting is known without adding anything up. One entry in a hundred took effect up
to a day before it was recorded. All lies in the present month, in whose partition the engine goes on.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from billfold import chain
from billfold.contract.ledger import AccountType, CreateAccount
from billfold_server.http.services import Services
from billfold_server.ledger import kinds as ledger_kinds
from tests.benchmarks.bank import CALLER, FUNDS_MINOR, Bank
from tests.benchmarks.gauge import say

__all__ = ["fill", "fill_keys"]

_CHUNK = 200_000
_LATEST = timedelta(minutes=1)
_LONGEST = timedelta(days=20)

_TABLE = "CREATE TEMPORARY TABLE scattered (n bigint, wallet_id uuid, account_id uuid, funds bigint)"
_WALLETS = """
INSERT INTO scattered (n, wallet_id, account_id, funds)
SELECT w.n, w.id, a.id, CASE w.n WHEN 0 THEN $1::bigint ELSE 1 END * $2::bigint
FROM (SELECT row_number() OVER (ORDER BY w.id) - 1 AS n, w.id FROM wallets AS w) AS w
JOIN accounts AS a ON a.wallet_id = w.id AND a.currency = 'EUR'
"""
# In entry i, wallet i * 7919 pays to wallet (i + 1) * 7919, both modulo the number of wallets. It is funded before that
# and has been paid as often as it has paid, or once less at the beginning of a round.
_HISTORY = """
WITH facts AS (SELECT $1::bigint AS wallets, $2::bigint AS funds, $5::bigint AS start_us, $6::bigint AS step_us),
plan AS MATERIALIZED (
    SELECT i, f.wallets, f.funds,
        f.start_us + i * f.step_us AS us,
        'epoch'::timestamptz + (f.start_us + (i - 1) * f.step_us) * interval '1 microsecond' AS before_at,
        'epoch'::timestamptz + (f.start_us + i * f.step_us) * interval '1 microsecond' AS recorded_at,
        CASE WHEN i % 100 = 50 THEN 1 + i * 7919 % 86400 ELSE 0 END * interval '1 second' AS late,
        CASE WHEN i < f.wallets THEN i ELSE (i % f.wallets) * 7919 % f.wallets END AS source,
        CASE WHEN i < f.wallets THEN i ELSE ((i + 1) % f.wallets) * 7919 % f.wallets END AS target
    FROM generate_series($3::bigint, $4::bigint) AS i, facts AS f
),
entry AS MATERIALIZED (
    SELECT p.i, p.us, p.us - extract(epoch FROM p.late)::bigint * 1000000 AS effective_us, p.recorded_at,
        p.recorded_at - p.late AS effective_at, greatest(p.before_at, p.recorded_at - p.late) AS effective_high,
        CASE WHEN p.i % 100 = 50 AND p.before_at > p.recorded_at - p.late
            THEN floor(log(2, greatest(1, extract(epoch FROM p.before_at - (p.recorded_at - p.late)))))::smallint
        END AS late_class,
        (lpad(to_hex(p.us / 1000), 12, '0') || '7' || lpad(to_hex(p.us % 1000), 3, '0') || '8'
            || substr(md5(p.i::text), 1, 15))::uuid AS id,
        CASE WHEN p.i < p.wallets THEN 'top_up' ELSE 'transfer' END AS kind,
        CASE WHEN p.i < p.wallets THEN t.funds ELSE 1 END AS amount,
        s.wallet_id AS from_wallet_id, t.wallet_id AS to_wallet_id,
        CASE WHEN p.i < p.wallets THEN $7::uuid ELSE s.account_id END AS debit_id, t.account_id AS credit_id,
        CASE WHEN p.i < p.wallets THEN p.funds * (p.wallets + p.i)
            ELSE CASE WHEN p.i % p.wallets = 0 THEN 1 ELSE 0 END - s.funds END AS debit_after,
        -t.funds - CASE WHEN p.i < p.wallets OR (p.i + 1) % p.wallets = 0 THEN 0 ELSE 1 END AS credit_after
    FROM plan AS p JOIN scattered AS s ON s.n = p.source JOIN scattered AS t ON t.n = p.target
),
entries AS (
    INSERT INTO journal_entries (
        id, sequence, kind, description, reverses, hold_id, effective_at, effective_high, recorded_at, metadata)
    SELECT e.id, e.i + 1, e.kind, NULL, NULL, NULL, e.effective_at, e.effective_high, e.recorded_at, '{}'
    FROM entry AS e ORDER BY e.i
),
lines AS (
    INSERT INTO postings (
        entry_id, line, account_id, amount_minor, currency, posted_after_minor, effective_at, late_class)
    SELECT e.id, l.line, l.account_id, l.amount_minor, 'EUR', l.after, e.effective_at, e.late_class
    FROM entry AS e CROSS JOIN LATERAL (VALUES
        (0, e.debit_id, e.amount, e.debit_after), (1, e.credit_id, -e.amount, e.credit_after)
    ) AS l (line, account_id, amount_minor, after)
    ORDER BY e.i, l.line
),
moved AS (
    INSERT INTO transfers (
        id, kind, from_wallet_id, to_wallet_id, cash_account_id, amount_minor, currency, from_balance_after_minor,
        to_balance_after_minor, description, metadata, effective_at, recorded_at, actor)
    SELECT e.id, e.kind, CASE e.kind WHEN 'transfer' THEN e.from_wallet_id END, e.to_wallet_id,
        CASE e.kind WHEN 'top_up' THEN e.debit_id END, e.amount, 'EUR',
        CASE e.kind WHEN 'transfer' THEN -e.debit_after END, -e.credit_after, NULL, '{}', e.effective_at, e.recorded_at,
        'cli_bench'
    FROM entry AS e ORDER BY e.i
)
SELECT string_agg(sha256('\\x00'::bytea || convert_to(concat_ws(E'\\n',
        'entry', e.i + 1, replace(e.id::text, '-', ''), e.kind, '-', '-', e.effective_us, e.us, '-',
        concat_ws(' ', 0, replace(e.debit_id::text, '-', ''), e.amount, 'EUR', e.debit_after),
        concat_ws(' ', 1, replace(e.credit_id::text, '-', ''), -e.amount, 'EUR', e.credit_after)), 'UTF8')),
    ''::bytea ORDER BY e.i)
FROM entry AS e
"""
# The history is older than the wallets, as it is where these were opened before the chain said whose they are.
_AFRESH = "TRUNCATE ledger_links, ledger_eras, wallet_terms, account_terms"
_LINK = "INSERT INTO ledger_links (number, recorded_at, leaves, hash) VALUES ($1, $2, $3, $4)"
_BALANCES = "UPDATE accounts AS a SET posted_minor = -s.funds FROM scattered AS s WHERE a.id = s.account_id"
_CASH = "UPDATE accounts AS a SET posted_minor = $1 WHERE a.id = $2"
# The fence is a new one, so that no process believes what it knew of the accounts before.
_HEAD = """
UPDATE ledger_head SET sequence = $1, revision = revision + 1, fence = gen_random_uuid(), recorded_at = $2,
    effective_high = $2, link = $3, hash = $4, skips = $5, era = 1
WHERE id = 1
"""
_KEYS = """
INSERT INTO idempotency_keys (client_id, key, fingerprint, status, body, created_at)
SELECT $1, md5(i::text), sha256(i::text::bytea), 201, decode(repeat('7b', 360), 'hex'), $4::timestamptz
FROM generate_series($2::bigint, $3::bigint) AS i ORDER BY md5(i::text)
"""


async def fill(services: Services, dsn: str, bank: Bank, postings: int) -> int:
    """Write a history into the empty books of a tenant, and return how many entries it has.

    Args:
        services: The server's parts.
        dsn: The way in of the cluster's owner, to whom no privileges of the tenant's roles apply.
        bank: A tenant whose wallets are open and have had no money yet.
        postings: About how many; each entry has two, and each wallet comes up equally often.
    """
    wallets = len(bank.wallets)
    entries = wallets * max(2, postings // 2 // wallets)
    body = CreateAccount(code="cash", type=AccountType.ASSET, currency="EUR")
    answer = await services.engine.submit(bank.tenant, CALLER, ledger_kinds.CREATE_ACCOUNT, body)
    assert answer.status == 201
    now = datetime.now(UTC)
    end = now - _LATEST
    start = max(now.replace(day=1, hour=0, minute=0, second=0, microsecond=0), end - _LONGEST)
    step_us = max(1, (end - start) // timedelta(microseconds=1) // entries)
    connection = await _as_owner(dsn, bank)
    try:
        cash = await connection.fetchval("SELECT id FROM accounts WHERE code = 'cash'")
        await connection.execute(_AFRESH)
        await connection.execute(_TABLE)
        await connection.execute(_WALLETS, wallets, FUNDS_MINOR)
        head, last = chain.Head(number=0, hash=bytes(32), skips=b""), -1
        while last < entries - 1:
            first, last = last + 1, min(last + _CHUNK, entries - 1)
            at = _microseconds(start), step_us
            leaves = await connection.fetchval(_HISTORY, wallets, FUNDS_MINOR, first, last, *at, cash, timeout=None)
            recorded_at = start + step_us * last * timedelta(microseconds=1)
            head, link = head.extend([leaves[place : place + 32] for place in range(0, len(leaves), 32)], recorded_at)
            await connection.execute(_LINK, link.number, recorded_at, leaves, head.hash)
            say(f"filling: {2 * (last + 1):,} of {2 * entries:,} postings")
        await connection.execute(_BALANCES)
        await connection.execute(_CASH, FUNDS_MINOR * (2 * wallets - 1), cash)
        await connection.execute(_HEAD, entries, recorded_at, head.number, head.hash, head.skips)
        await _settle(connection)
    finally:
        await connection.close()
    return entries


async def fill_keys(dsn: str, bank: Bank, keys: int) -> None:
    """Write as many idempotency keys, each with an answer, as that many transfers would have left behind."""
    connection = await _as_owner(dsn, bank)
    try:
        for first in range(0, keys, _CHUNK):
            last = min(first + _CHUNK, keys) - 1
            await connection.execute(_KEYS, CALLER.client_id, first, last, datetime.now(UTC), timeout=None)
            say(f"filling: {last + 1:,} of {keys:,} idempotency keys")
        await _settle(connection)
    finally:
        await connection.close()


async def _settle(connection: "asyncpg.Connection[Any]") -> None:
    """Do what PostgreSQL would do after so much work, so that it doesn't do it while something is measured."""
    await connection.execute("VACUUM (ANALYZE)", timeout=None)
    await connection.execute("CHECKPOINT", timeout=None)


async def _as_owner(dsn: str, bank: Bank) -> "asyncpg.Connection[Any]":
    connection = await asyncpg.connect(dsn, command_timeout=None)
    await connection.execute(f"SET search_path TO {bank.schema}; SET synchronous_commit TO off; SET work_mem TO '64MB'")
    return connection


def _microseconds(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
