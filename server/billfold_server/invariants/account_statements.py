"""What customers' account statements say, against the postings of which they are the sums (ADR 30).

Each month of statements is a part of the journal, which begins where the one before has ended. So every posting of a
wallet's account is in the statement of one month, and what one closes with the next one opens with. Sums of which a
part was detached aren't compared; what an account had at the checkpoint still is.
"""

from typing import Final

from billfold_server.invariants.references import DETACHED

__all__ = ["ACCOUNT_STATEMENTS"]

_NOTHING: Final = "'00000000-0000-0000-0000-000000000000'::uuid"

# S608 below: the texts are made of the constants of these modules.

_MONTHS: Final = f"""
        SELECT to_char(m.starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS object,
            'its part of the journal doesn''t go on from the month before, or isn''t the month''s' AS fact
        FROM (
            SELECT starts_at, ends_at, behind, until, made_at, lead(starts_at) OVER months IS NULL AS is_last,
                lag(ends_at) OVER months AS ended_at, lag(until) OVER months AS ended_with
            FROM account_statement_months WINDOW months AS (ORDER BY starts_at)) AS m
        LEFT JOIN journal_entries AS j ON j.id = m.until
        WHERE m.behind <> coalesce(m.ended_with, {_NOTHING})
            OR m.ends_at <> (m.starts_at AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC'
            -- With what was detached went the entry by which the first month is known.
            OR m.starts_at <> coalesce(m.ended_at, (
                SELECT date_trunc('month', f.effective_high, 'UTC') FROM journal_entries AS f
                WHERE NOT EXISTS (SELECT FROM ledger_checkpoints) ORDER BY f.id LIMIT 1))
            OR (m.until > {DETACHED} AND (j.id IS NULL OR j.effective_high >= m.ends_at))
            OR (m.made_at IS NULL AND NOT m.is_last)
        ORDER BY m.starts_at LIMIT 100
"""  # noqa: S608

# Whatever the planner expects, the postings are read once: the month of each is found among the months' ends, which
# are few, rather than by a join. An entry that is an end itself belongs to the month that it ends.
_TURNOVERS: Final = f"""
            SELECT p.account_id, p.until, count(*) AS entries,
                coalesce(sum(p.amount_minor) FILTER (WHERE p.amount_minor > 0), 0) AS debits,
                -coalesce(sum(p.amount_minor) FILTER (WHERE p.amount_minor < 0), 0) AS credits
            FROM (
                SELECT p.account_id, p.amount_minor,
                    CASE WHEN m.ends[p.place] = p.entry_id THEN p.entry_id ELSE m.ends[p.place + 1] END AS until
                FROM (SELECT array_agg(until ORDER BY until) AS ends
                    FROM account_statement_months WHERE until > behind) AS m
                CROSS JOIN LATERAL (
                    SELECT q.account_id, q.amount_minor, q.entry_id, width_bucket(q.entry_id, m.ends) AS place
                    FROM postings AS q WHERE q.entry_id > {DETACHED} OFFSET 0) AS p) AS p
            WHERE p.until IS NOT NULL
            GROUP BY p.account_id, p.until
"""  # noqa: S608

_SUMS: Final = f"""
        SELECT coalesce('account statement ' || s.id::text, 'account ' || t.account_id::text) AS object,
            CASE WHEN s.id IS NULL THEN
                'the account has ' || t.entries::text || ' postings in the month from '
                    || to_char(m.starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') || ', but no statement'
            ELSE 'it says ' || s.entries::text || ' entries, +' || s.credits_minor::text || ' and -'
                || s.debits_minor::text || ' to ' || s.closing_minor::text || ', but ' || coalesce(t.entries, 0)::text
                || ' postings make +' || coalesce(t.credits, 0)::text || ' and -' || coalesce(t.debits, 0)::text
                || ' to ' || (coalesce(t.moved, 0) - coalesce(b.posted_minor, 0))::text END AS fact
        FROM (
            SELECT t.account_id, t.until, t.entries, t.debits, t.credits,
                sum(t.credits - t.debits) OVER (PARTITION BY t.account_id ORDER BY t.until) AS moved
            FROM ({_TURNOVERS}) AS t) AS t
        FULL JOIN (
            SELECT id, account_id, behind, until, opening_minor, closing_minor, entries,
                credits_minor + beyond_minor AS credits_minor, debits_minor + beyond_minor AS debits_minor,
                lead(id) OVER (PARTITION BY account_id ORDER BY starts_at) IS NULL AS is_last
            FROM account_statements) AS s ON s.account_id = t.account_id AND s.until = t.until
        LEFT JOIN account_statement_months AS m ON m.until = t.until AND m.until > m.behind
        LEFT JOIN accounts AS a ON a.id = t.account_id
        LEFT JOIN checkpoint_balances AS b ON b.account_id = coalesce(s.account_id, t.account_id)
        WHERE CASE WHEN s.id IS NULL THEN a.wallet_id IS NOT NULL AND m.made_at IS NOT NULL
            ELSE s.closing_minor <> s.opening_minor + s.credits_minor - s.debits_minor
                OR (s.behind >= {DETACHED}
                    AND (s.entries, s.credits_minor, s.debits_minor) IS DISTINCT FROM (t.entries, t.credits, t.debits))
                -- Once all months up to the checkpoint are made, an account's last statement holds until there.
                OR ((s.until >= {DETACHED} OR (s.is_last AND EXISTS (
                        SELECT FROM account_statement_months AS n
                        WHERE n.until >= {DETACHED} AND n.made_at IS NOT NULL)))
                    AND s.closing_minor <> coalesce(t.moved, 0) - coalesce(b.posted_minor, 0)) END
        ORDER BY 1 LIMIT 100
"""  # noqa: S608

ACCOUNT_STATEMENTS: Final[dict[str, str]] = {
    "account_statement_months_follow_one_another": _MONTHS,
    "account_statements_are_of_their_months": """
        SELECT s.id::text AS object, 'its times, or its part of the journal, are no month''s' AS fact
        FROM account_statements AS s
        LEFT JOIN account_statement_months AS m ON m.starts_at = s.starts_at
        WHERE (s.ends_at, s.behind, s.until) IS DISTINCT FROM (m.ends_at, m.behind, m.until)
        ORDER BY s.id LIMIT 100
    """,
    "account_statements_follow_one_another": """
        SELECT s.id::text AS object,
            'it opens with ' || s.opening_minor::text || ', but the one before it closed with ' || s.before_minor::text
                AS fact
        FROM (
            SELECT id, opening_minor,
                lag(closing_minor) OVER (PARTITION BY account_id ORDER BY starts_at) AS before_minor
            FROM account_statements) AS s
        WHERE s.opening_minor <> s.before_minor
        ORDER BY s.id LIMIT 100
    """,
    "account_statements_equal_postings": _SUMS,
}
"""What must hold of customers' account statements, by name."""
