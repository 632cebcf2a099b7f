"""One query per invariant. Each returns what breaks it, and nothing where it holds."""

from typing import Final

__all__ = ["INVARIANTS"]

INVARIANTS: Final[dict[str, str]] = {
    "entries_balance": """
        SELECT p.sequence::text AS object, p.currency || ' is off by ' || sum(p.amount_minor)::text AS fact
        FROM postings AS p GROUP BY p.sequence, p.currency HAVING sum(p.amount_minor) <> 0
        ORDER BY p.sequence LIMIT 100
    """,
    "books_balance": """
        SELECT a.currency AS object, 'all accounts together are off by ' || sum(a.posted_minor)::text AS fact
        FROM accounts AS a GROUP BY a.currency HAVING sum(a.posted_minor) <> 0
        ORDER BY a.currency LIMIT 100
    """,
    "balances_equal_postings": """
        SELECT a.id::text AS object,
            'posted ' || a.posted_minor::text || ', but its postings sum to ' || coalesce(p.total, 0)::text AS fact
        FROM accounts AS a
        LEFT JOIN (SELECT account_id, sum(amount_minor) AS total FROM postings GROUP BY account_id) AS p
            ON p.account_id = a.id
        WHERE a.posted_minor <> coalesce(p.total, 0)
        ORDER BY a.id LIMIT 100
    """,
    "running_balances_add_up": """
        SELECT r.sequence::text || '/' || r.line::text AS object,
            'balance after it is ' || r.posted_after_minor::text || ', but the one before and it make '
                || (r.before_minor + r.amount_minor)::text AS fact
        FROM (
            SELECT sequence, line, amount_minor, posted_after_minor,
                coalesce(lag(posted_after_minor) OVER (PARTITION BY account_id ORDER BY sequence, line), 0)
                    AS before_minor
            FROM postings) AS r
        WHERE r.posted_after_minor <> r.before_minor + r.amount_minor
        ORDER BY r.sequence, r.line LIMIT 100
    """,
    "held_equals_open_holds": """
        SELECT a.id::text AS object,
            'held ' || a.held_minor::text || ', but its open holds reserve ' || coalesce(h.total, 0)::text AS fact
        FROM accounts AS a
        LEFT JOIN (
            SELECT account_id, sum(amount_minor - captured_minor - released_minor) AS total FROM holds
            WHERE status = 'open' GROUP BY account_id) AS h ON h.account_id = a.id
        WHERE a.held_minor <> coalesce(h.total, 0)
        ORDER BY a.id LIMIT 100
    """,
    "pending_equals_open_holds": """
        SELECT a.id::text AS object,
            'pending ' || a.pending_minor::text || ', but open holds bring ' || coalesce(h.total, 0)::text AS fact
        FROM accounts AS a
        LEFT JOIN (
            SELECT to_account_id, sum(amount_minor - captured_minor - released_minor) AS total FROM holds
            WHERE status = 'open' AND to_account_id IS NOT NULL GROUP BY to_account_id) AS h ON h.to_account_id = a.id
        WHERE a.pending_minor <> coalesce(h.total, 0)
        ORDER BY a.id LIMIT 100
    """,
    "journal_has_no_gaps": """
        SELECT 'journal' AS object,
            'its head says ' || h.sequence::text || ', but it holds ' || count(j.sequence)::text || ' entries up to '
                || coalesce(max(j.sequence), 0)::text AS fact
        FROM ledger_head AS h LEFT JOIN journal_entries AS j ON TRUE
        GROUP BY h.sequence
        HAVING count(j.sequence) <> h.sequence OR coalesce(max(j.sequence), 0) <> h.sequence
    """,
    "recorded_in_order": """
        SELECT r.sequence::text AS object, 'recorded before the entry that it follows' AS fact
        FROM (
            SELECT sequence, recorded_at, lag(recorded_at) OVER (ORDER BY sequence) AS before FROM journal_entries) AS r
        WHERE r.recorded_at <= r.before
        ORDER BY r.sequence LIMIT 100
    """,
    "postings_have_their_entry": """
        SELECT p.sequence::text AS object, 'postings without a journal entry or an account' AS fact
        FROM postings AS p
        LEFT JOIN journal_entries AS j ON j.sequence = p.sequence
        LEFT JOIN accounts AS a ON a.id = p.account_id
        WHERE j.sequence IS NULL OR a.id IS NULL
        ORDER BY p.sequence LIMIT 100
    """,
    "transfers_have_their_entry": """
        SELECT t.id::text AS object, 'its journal entry is missing' AS fact
        FROM transfers AS t LEFT JOIN journal_entries AS j ON j.id = t.journal_entry_id
        WHERE j.id IS NULL
        ORDER BY t.id LIMIT 100
    """,
    "reversals_equal_entries": """
        SELECT r.journal_entry_id::text AS object,
            'reversed ' || r.reversed_minor::text || ', but its reversing entries make ' || coalesce(s.total, 0)::text
                AS fact
        FROM reversals AS r
        LEFT JOIN (
            SELECT j.reverses, sum(p.amount_minor) FILTER (WHERE p.amount_minor > 0) AS total
            FROM journal_entries AS j JOIN postings AS p ON p.sequence = j.sequence
            WHERE j.reverses IS NOT NULL GROUP BY j.reverses) AS s ON s.reverses = r.journal_entry_id
        WHERE r.reversed_minor <> coalesce(s.total, 0)
        ORDER BY r.journal_entry_id LIMIT 100
    """,
}
"""What must hold of every tenant's books, by name."""
