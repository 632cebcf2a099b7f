"""One query per invariant. Each returns what breaks it, and nothing where it holds."""

from typing import Final

from billfold_server.invariants.account_statements import ACCOUNT_STATEMENTS
from billfold_server.invariants.bank_statements import BANK_STATEMENTS
from billfold_server.invariants.owners import OWNERS
from billfold_server.invariants.payments import PAYMENTS
from billfold_server.invariants.references import DETACHED, REFERENCES

__all__ = ["INVARIANTS"]

# S608 below: the texts are made of this constant.

INVARIANTS: Final[dict[str, str]] = {
    "entries_balance": """
        SELECT p.entry_id::text AS object, p.currency || ' is off by ' || sum(p.amount_minor)::text AS fact
        FROM postings AS p GROUP BY p.entry_id, p.currency HAVING sum(p.amount_minor) <> 0
        ORDER BY p.entry_id LIMIT 100
    """,
    "books_balance": """
        SELECT a.currency AS object, 'all accounts together are off by ' || sum(a.posted_minor)::text AS fact
        FROM accounts AS a GROUP BY a.currency HAVING sum(a.posted_minor) <> 0
        ORDER BY a.currency LIMIT 100
    """,
    "balances_equal_postings": """
        SELECT a.id::text AS object,
            'posted ' || a.posted_minor::text || ', but its postings sum to '
                || (coalesce(b.posted_minor, 0) + coalesce(p.total, 0))::text AS fact
        FROM accounts AS a
        LEFT JOIN (SELECT account_id, sum(amount_minor) AS total FROM postings GROUP BY account_id) AS p
            ON p.account_id = a.id
        LEFT JOIN checkpoint_balances AS b ON b.account_id = a.id
        WHERE a.posted_minor <> coalesce(b.posted_minor, 0) + coalesce(p.total, 0)
        ORDER BY a.id LIMIT 100
    """,
    "running_balances_add_up": """
        SELECT r.entry_id::text || '/' || r.line::text AS object,
            'balance after it is ' || r.posted_after_minor::text || ', but the one before and it make '
                || (r.before_minor + r.amount_minor)::text AS fact
        FROM (
            SELECT p.entry_id, p.line, p.amount_minor, p.posted_after_minor,
                coalesce(
                    lag(p.posted_after_minor) OVER (PARTITION BY p.account_id ORDER BY p.entry_id, p.line),
                    b.posted_minor, 0) AS before_minor
            FROM postings AS p LEFT JOIN checkpoint_balances AS b ON b.account_id = p.account_id) AS r
        WHERE r.posted_after_minor <> r.before_minor + r.amount_minor
        ORDER BY r.entry_id, r.line LIMIT 100
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
    "postings_are_in_their_accounts_currency": """
        SELECT p.entry_id::text || '/' || p.line::text AS object,
            'posted in ' || p.currency || ' on an account in ' || a.currency AS fact
        FROM postings AS p JOIN accounts AS a ON a.id = p.account_id
        WHERE p.currency <> a.currency
        ORDER BY p.entry_id, p.line LIMIT 100
    """,
    "overdrafts_keep_within_their_limit": """
        SELECT a.id::text AS object,
            'available ' || a.available_minor::text || ', but the limit is ' || a.overdraft_limit_minor::text AS fact
        FROM (
            SELECT id, overdraft_limit_minor,
                CASE normal_side WHEN 'debit' THEN posted_minor ELSE -posted_minor END - held_minor AS available_minor
            FROM accounts) AS a
        WHERE a.available_minor < -a.overdraft_limit_minor
        ORDER BY a.id LIMIT 100
    """,
    "holds_equal_their_movements": """
        SELECT h.id::text AS object,
            'reserves ' || (h.amount_minor - h.captured_minor - h.released_minor)::text || ' after '
                || h.steps::text || ' movements, but ' || coalesce(m.steps, 0)::text || ' movements make '
                || coalesce(m.total, 0)::text AS fact
        FROM holds AS h
        LEFT JOIN (
            SELECT hold_id, count(*) AS steps, sum(delta_minor) AS total FROM hold_movements GROUP BY hold_id) AS m
            ON m.hold_id = h.id
        WHERE h.amount_minor - h.captured_minor - h.released_minor <> coalesce(m.total, 0)
            OR h.steps <> coalesce(m.steps, 0)
        ORDER BY h.id LIMIT 100
    """,
    "holds_are_as_they_were_placed": """
        SELECT t.hold_id::text AS object, CASE WHEN h.id IS NULL THEN 'it isn''t there, and its terms are'
            ELSE 'it isn''t as it was placed' END AS fact
        FROM hold_terms AS t LEFT JOIN holds AS h ON h.id = t.hold_id
        WHERE (h.wallet_id, h.account_id, h.to_wallet_id, h.to_account_id, h.currency, h.amount_minor, h.expires_at)
                IS DISTINCT FROM (t.wallet_id, t.account_id, t.to_wallet_id, t.to_account_id, t.currency,
                    t.amount_minor, t.expires_at)
            OR (t.text_salt IS NOT NULL) <> (h.description IS NOT NULL OR h.metadata <> '{}')
        ORDER BY t.hold_id LIMIT 100
    """,
    "captures_equal_their_entries": f"""
        SELECT h.id::text AS object,
            'captured ' || h.captured_minor::text || ', but its entries make ' || coalesce(c.total, 0)::text AS fact
        FROM holds AS h
        LEFT JOIN (
            SELECT j.hold_id, sum(p.amount_minor) AS total
            FROM journal_entries AS j JOIN postings AS p ON p.entry_id = j.id
            WHERE j.hold_id IS NOT NULL AND p.amount_minor > 0 GROUP BY j.hold_id) AS c ON c.hold_id = h.id
        WHERE h.captured_minor <> coalesce(c.total, 0)
            AND NOT EXISTS (SELECT FROM unnest(h.journal_entry_ids) AS e (id) WHERE e.id <= {DETACHED})
        ORDER BY h.id LIMIT 100
    """,  # noqa: S608
    "wallets_and_their_accounts_agree": """
        SELECT coalesce(w.id, a.wallet_id)::text AS object,
            'the wallet is ' || coalesce(w.status, 'missing') || ', its account in '
                || coalesce(a.currency, w.currency) || ' is ' || coalesce(a.status, 'missing') AS fact
        FROM (
            SELECT id, status, unnest(currencies) AS currency FROM wallets) AS w
        FULL JOIN (
            SELECT wallet_id, currency, status FROM accounts WHERE wallet_id IS NOT NULL) AS a
            ON a.wallet_id = w.id AND a.currency = w.currency
        WHERE w.status IS DISTINCT FROM a.status
        ORDER BY 1, 2 LIMIT 100
    """,
    "journal_has_no_gaps": """
        SELECT 'journal' AS object,
            'its head says ' || coalesce(h.sequence::text, 'nothing') || ', but with ' || d.entries::text
                || ' detached it holds ' || (d.entries + count(j.sequence))::text || ' entries up to '
                || coalesce(max(j.sequence), d.entries)::text AS fact
        FROM (SELECT coalesce(max(sequence), 0) AS entries FROM ledger_checkpoints) AS d
        LEFT JOIN ledger_head AS h ON TRUE
        LEFT JOIN journal_entries AS j ON TRUE
        GROUP BY h.sequence, d.entries
        HAVING d.entries + count(j.sequence) IS DISTINCT FROM h.sequence
            OR coalesce(max(j.sequence), d.entries) IS DISTINCT FROM h.sequence
    """,
    "recorded_in_order": """
        SELECT r.sequence::text AS object, 'recorded before the entry that it follows' AS fact
        FROM (
            SELECT sequence, recorded_at, lag(recorded_at) OVER (ORDER BY sequence) AS before FROM journal_entries) AS r
        WHERE r.recorded_at <= r.before
        ORDER BY r.sequence LIMIT 100
    """,
    "postings_have_their_entry": """
        SELECT p.entry_id::text AS object, 'postings without a journal entry or an account' AS fact
        FROM postings AS p
        LEFT JOIN journal_entries AS j ON j.id = p.entry_id
        LEFT JOIN accounts AS a ON a.id = p.account_id
        WHERE j.id IS NULL OR a.id IS NULL
        ORDER BY p.entry_id LIMIT 100
    """,
    "transfers_have_their_entry": f"""
        SELECT t.id::text AS object, 'its journal entry is missing' AS fact
        FROM transfers AS t LEFT JOIN journal_entries AS j ON j.id = t.id
        WHERE j.id IS NULL AND t.id > {DETACHED}
        ORDER BY t.id LIMIT 100
    """,  # noqa: S608
    "reversals_equal_entries": f"""
        SELECT r.journal_entry_id::text AS object,
            'reversed ' || r.reversed_minor::text || ', but its reversing entries make ' || coalesce(s.total, 0)::text
                AS fact
        FROM reversals AS r
        LEFT JOIN (
            SELECT j.reverses, sum(p.amount_minor) FILTER (WHERE p.amount_minor > 0) AS total
            FROM journal_entries AS j JOIN postings AS p ON p.entry_id = j.id
            WHERE j.reverses IS NOT NULL GROUP BY j.reverses) AS s ON s.reverses = r.journal_entry_id
        WHERE r.reversed_minor <> coalesce(s.total, 0)
            AND (r.journal_entry_id > {DETACHED} OR r.reversed_minor < coalesce(s.total, 0))
        ORDER BY r.journal_entry_id LIMIT 100
    """,  # noqa: S608
    "statement_entries_are_posted": f"""
        SELECT e.id::text AS object,
            'booked ' || e.amount_minor::text || ', but its journal entry moves the cash account by '
                || coalesce(p.amount_minor::text, 'nothing') AS fact
        FROM statement_entries AS e
        LEFT JOIN bank_accounts AS b ON b.bank_account = e.bank_account AND b.currency = e.currency
        -- OFFSET keeps the planner from joining by the account alone, which would read its postings for each entry.
        LEFT JOIN LATERAL (
            SELECT p.amount_minor FROM journal_entries AS j JOIN postings AS p ON p.entry_id = j.id
            WHERE j.id = e.journal_entry_id AND p.account_id = b.cash_account_id OFFSET 0) AS p ON TRUE
        WHERE e.journal_entry_id IS NOT NULL AND p.amount_minor IS DISTINCT FROM e.amount_minor
            AND e.journal_entry_id > {DETACHED}
        ORDER BY e.id LIMIT 100
    """,  # noqa: S608
    "statement_entries_have_their_movement": """
        SELECT e.id::text AS object, 'its top-up or withdrawal is missing, or another one''s' AS fact
        FROM statement_entries AS e
        LEFT JOIN transfers AS t ON t.id = e.movement_id AND t.id = e.journal_entry_id
            AND e.wallet_id = coalesce(t.to_wallet_id, t.from_wallet_id) AND t.amount_minor = abs(e.amount_minor)
        WHERE e.movement_id IS NOT NULL AND t.id IS NULL
        ORDER BY e.id LIMIT 100
    """,
    "suspense_equals_unassigned_entries": """
        SELECT coalesce(e.currency, p.currency) AS object,
            'statements have left ' || coalesce(-p.total, 0)::text || ' in suspense, but unassigned entries make '
                || coalesce(e.total, 0)::text AS fact
        FROM (
            SELECT currency, sum(amount_minor) AS total FROM statement_entries
            WHERE outcome = 'suspense' GROUP BY currency) AS e
        FULL JOIN (
            SELECT p.currency, sum(p.amount_minor) AS total
            FROM journal_entries AS j
            JOIN postings AS p ON p.entry_id = j.id
            JOIN accounts AS a ON a.id = p.account_id AND a.code = 'suspense'
            WHERE j.kind = 'statement_suspense' OR (
                -- What was taken back from a wrong wallet and assigned anew is counted by the last assignment alone.
                j.kind = 'statement_assignment' AND EXISTS (
                    SELECT FROM statement_entries AS e WHERE e.assigning_journal_entry_id = j.id))
            GROUP BY p.currency) AS p
            ON p.currency = e.currency
        -- What was detached may have gone into suspense, or come out of it; the accounts' own balances stay compared.
        WHERE coalesce(-p.total, 0) <> coalesce(e.total, 0) AND NOT EXISTS (SELECT FROM ledger_checkpoints)
        ORDER BY 1 LIMIT 100
    """,
    "bank_accounts_equal_postings": """
        SELECT b.bank_account || ' ' || b.currency AS object,
            'opened with ' || coalesce(b.first_opening_minor, 0)::text || ' and breaks of ' || b.break_minor::text
                || ', but its postings say ' || coalesce(p.opening_minor, 0)::text || ' and '
                || coalesce(p.break_minor, 0)::text AS fact
        FROM bank_accounts AS b
        LEFT JOIN (
            SELECT p.account_id,
                sum(p.amount_minor) FILTER (WHERE j.kind = 'statement_opening') AS opening_minor,
                sum(p.amount_minor) FILTER (WHERE j.kind = 'statement_break') AS break_minor
            FROM journal_entries AS j JOIN postings AS p ON p.entry_id = j.id
            WHERE j.kind IN ('statement_opening', 'statement_break') AND NOT EXISTS (
                SELECT FROM statements AS s JOIN statement_imports AS i ON i.id = s.statement_import_id
                WHERE i.reversed_at IS NOT NULL AND j.id IN (s.opening_entry_id, s.break_entry_id))
            GROUP BY p.account_id) AS p
            ON p.account_id = b.cash_account_id
        WHERE (coalesce(b.first_opening_minor, 0) <> coalesce(p.opening_minor, 0)
                OR b.break_minor <> coalesce(p.break_minor, 0))
            AND NOT EXISTS (SELECT FROM ledger_checkpoints)
        ORDER BY 1 LIMIT 100
    """,
    "reversing_entries_have_their_entry": f"""
        SELECT j.id::text AS object, 'reverses journal entry ' || j.reverses::text || ', which is missing' AS fact
        FROM journal_entries AS j LEFT JOIN journal_entries AS r ON r.id = j.reverses
        WHERE j.reverses > {DETACHED} AND r.id IS NULL
        ORDER BY j.id LIMIT 100
    """,  # noqa: S608
    "captures_have_their_hold": """
        SELECT j.id::text AS object, 'captures hold ' || j.hold_id::text || ', which is missing' AS fact
        FROM journal_entries AS j LEFT JOIN holds AS h ON h.id = j.hold_id
        WHERE j.hold_id IS NOT NULL AND h.id IS NULL
        ORDER BY j.id LIMIT 100
    """,
    "movements_have_their_hold": """
        SELECT m.hold_id::text || '/' || m.step::text AS object,
            'its hold is missing, or is one of other accounts' AS fact
        FROM hold_movements AS m LEFT JOIN holds AS h ON h.id = m.hold_id
        WHERE h.id IS NULL OR m.account_id <> h.account_id OR m.to_account_id IS DISTINCT FROM h.to_account_id
        ORDER BY m.hold_id, m.step LIMIT 100
    """,
    "holds_have_their_accounts": """
        SELECT h.id::text AS object, 'one of its accounts is missing' AS fact
        FROM holds AS h
        LEFT JOIN accounts AS a ON a.id = h.account_id
        LEFT JOIN accounts AS t ON t.id = h.to_account_id
        WHERE a.id IS NULL OR (h.to_account_id IS NOT NULL AND t.id IS NULL)
        ORDER BY h.id LIMIT 100
    """,
    "chain_ends_at_the_head": """
        SELECT coalesce(h.link, n.link)::text AS object,
            'the head is link ' || coalesce(h.link::text, 'none') || ', but the newest link is ' || n.link::text
                || CASE WHEN n.link = h.link THEN ' with another hash' ELSE '' END AS fact
        FROM (SELECT coalesce(max(number), 0) AS link FROM ledger_links) AS n
        LEFT JOIN ledger_links AS l ON l.number = n.link
        LEFT JOIN ledger_head AS h ON TRUE
        WHERE h.link IS DISTINCT FROM n.link OR (n.link > 0 AND h.hash IS DISTINCT FROM l.hash)
    """,
    **ACCOUNT_STATEMENTS,
    **BANK_STATEMENTS,
    **PAYMENTS,
    **REFERENCES,
    **OWNERS,
}
"""What must hold of every tenant's books, by name."""
