"""What is kept of banks' statements, against their own entries, each other, and the books that they have moved.

A statement's import leaves its cash account where the statement leads, or where it stood if another one reaches
further. What that moved beside the entries is a break, or went against equity when the statement begins earliest: so
these add up over a bank account's statements, in whatever order they came in.
"""

from typing import Final

from billfold_server.invariants.references import DETACHED

__all__ = ["BANK_STATEMENTS"]

# S608 below: the texts are made of the constants of these modules.

_MOVED: Final = "e.currency = s.currency AND e.outcome NOT IN ('duplicate', 'not_booked')"
"""Whether an entry has moved its statement's own cash account when it was imported."""
_STANDING: Final = """statements AS s
                JOIN statement_imports AS i ON i.id = s.statement_import_id AND i.reversed_at IS NULL"""
"""The statements of imports that weren't taken back."""


def _shown_once(table: str, key: str, way: str, *, went: str) -> str:
    """Return what finds what was ordered here and isn't counted as its entries show it.

    Args:
        table: Where it is counted.
        key: By what the table and entries name it.
        way: Which way its money goes at the bank.
        went: How the amounts of entries that show this compare with nothing.
    """
    back = "<" if went == ">" else ">"
    return f"""
        SELECT coalesce(w.{key}, e.{key})::text AS object,
            'counts ' || coalesce(w.{way}_minor, 0)::text || ' {way} and ' || coalesce(w.back_minor, 0)::text
                || ' back of ' || coalesce(t.amount_minor, w.amount_minor, 0)::text || ', but entries show '
                || coalesce(e.{way}_minor, 0)::text || ' and ' || coalesce(e.back_minor, 0)::text AS fact
        FROM {table} AS w
        FULL JOIN (
            SELECT {key}, coalesce(sum(abs(amount_minor)) FILTER (WHERE amount_minor {went} 0), 0) AS {way}_minor,
                coalesce(sum(abs(amount_minor)) FILTER (WHERE amount_minor {back} 0), 0) AS back_minor
            FROM statement_entries WHERE {key} IS NOT NULL GROUP BY {key}) AS e ON e.{key} = w.{key}
        LEFT JOIN transfers AS t ON t.id = w.{key}
        WHERE (coalesce(w.{way}_minor, 0), coalesce(w.back_minor, 0))
                IS DISTINCT FROM (coalesce(e.{way}_minor, 0), coalesce(e.back_minor, 0))
            OR w.{way}_minor > w.amount_minor OR w.back_minor > w.{way}_minor
            OR (w.{key} > {DETACHED} AND t.amount_minor IS DISTINCT FROM w.amount_minor)
        ORDER BY 1 LIMIT 100
    """  # noqa: S608


BANK_STATEMENTS: Final[dict[str, str]] = {
    "statements_add_up": f"""
        SELECT s.id::text AS object,
            'its balances, counts or difference aren''t what its ' || s.found::text || ' entries make' AS fact
        FROM (
            SELECT s.id, s.opening_minor, s.closing_minor, s.reached_minor, s.difference_minor, s.cash_before_minor,
                s.cash_after_minor, s.break_minor,
                ARRAY[s.entries, s.topped_up, s.withdrawn, s.suspense, s.duplicates, s.not_booked]::bigint[] AS counts,
                count(e.id) AS found,
                ARRAY[count(e.id), count(e.id) FILTER (WHERE e.outcome = 'topped_up'),
                    count(e.id) FILTER (WHERE e.outcome = 'withdrawn'),
                    count(e.id) FILTER (WHERE e.outcome IN ('suspense', 'assigned')),
                    count(e.id) FILTER (WHERE e.outcome = 'duplicate'),
                    count(e.id) FILTER (WHERE e.outcome = 'not_booked')] AS counted,
                coalesce(sum(e.amount_minor) FILTER (WHERE e.status = 'BOOK' AND e.currency = s.currency), 0) AS booked,
                coalesce(sum(e.amount_minor) FILTER (WHERE {_MOVED}), 0) AS moved,
                count(e.id) FILTER (WHERE e.status = 'BOOK' AND e.currency <> s.currency) > 0 AS mixed
            FROM statements AS s LEFT JOIN statement_entries AS e ON e.statement_id = s.id
            GROUP BY s.id, s.opening_minor, s.closing_minor, s.reached_minor, s.difference_minor, s.cash_before_minor,
                s.cash_after_minor, s.break_minor, s.entries, s.topped_up, s.withdrawn, s.suspense, s.duplicates,
                s.not_booked, s.currency) AS s
        WHERE s.counts <> s.counted
            OR s.reached_minor IS DISTINCT FROM s.opening_minor + s.booked
            OR s.difference_minor IS DISTINCT FROM
                CASE WHEN NOT s.mixed THEN s.opening_minor + s.booked - s.closing_minor END
            OR CASE WHEN s.reached_minor IS NULL THEN
                s.break_minor <> 0 OR s.cash_after_minor <> s.cash_before_minor + s.moved
                ELSE s.cash_after_minor NOT IN (s.reached_minor, s.cash_before_minor) END
        ORDER BY s.id LIMIT 100
    """,  # noqa: S608
    "statements_are_of_bank_accounts": """
        SELECT s.id::text AS object, 'its bank account is unknown, or has another cash account' AS fact
        FROM statements AS s
        LEFT JOIN bank_accounts AS b ON b.bank_account = s.bank_account AND b.currency = s.currency
        WHERE b.cash_account_id IS DISTINCT FROM s.cash_account_id
        ORDER BY s.id LIMIT 100
    """,
    "statements_say_where_the_books_stood": f"""
        SELECT s.id::text AS object,
            'it left the cash account at ' || s.cash_after_minor::text || ', but what it booked last left '
                || coalesce(p.posted_after_minor::text, 'nothing') AS fact
        FROM statements AS s
        JOIN (
            SELECT DISTINCT ON (e.statement_id) e.statement_id, e.journal_entry_id
            FROM statement_entries AS e JOIN statements AS s ON s.id = e.statement_id
            WHERE {_MOVED} ORDER BY e.statement_id, e.journal_entry_id DESC) AS e ON e.statement_id = s.id
        -- OFFSET keeps the planner from joining by the account alone, which would read its postings for each statement.
        LEFT JOIN LATERAL (
            SELECT p.posted_after_minor FROM postings AS p
            WHERE p.entry_id = e.journal_entry_id AND p.account_id = s.cash_account_id OFFSET 0) AS p ON TRUE
        WHERE e.journal_entry_id > {DETACHED} AND p.posted_after_minor IS DISTINCT FROM s.cash_after_minor
        ORDER BY s.id LIMIT 100
    """,  # noqa: S608
    "bank_accounts_equal_their_statements": f"""
        WITH told AS (
            SELECT DISTINCT s.bank_account, s.currency, s.statement_key, s.opening_date, s.closing_date,
                s.opening_minor, s.reached_minor, TRUE AS there
            FROM {_STANDING} WHERE s.reached_minor IS NOT NULL)
        SELECT b.bank_account || ' ' || b.currency AS object,
            'its ends are no statement''s, or its opening of ' || coalesce(b.first_opening_minor, 0)::text
                || ' and breaks of ' || b.break_minor::text || ' aren''t what its statements make, '
                || coalesce(s.opening_minor - coalesce(e.moved, 0), 0)::text || ' and '
                || coalesce(s.break_minor, 0)::text AS fact
        FROM bank_accounts AS b
        LEFT JOIN (
            SELECT s.bank_account, s.currency, sum(s.break_minor) AS break_minor,
                sum(s.cash_after_minor - s.cash_before_minor - s.break_minor) AS opening_minor,
                nullif(count(s.reached_minor) > 0, FALSE) AS reaches
            FROM {_STANDING} GROUP BY s.bank_account, s.currency) AS s
            ON s.bank_account = b.bank_account AND s.currency = b.currency
        LEFT JOIN (
            SELECT s.bank_account, s.currency, sum(e.amount_minor) AS moved
            FROM statement_entries AS e JOIN statements AS s ON s.id = e.statement_id
            WHERE {_MOVED} AND NOT e.taken_back GROUP BY s.bank_account, s.currency) AS e
            ON e.bank_account = b.bank_account AND e.currency = b.currency
        LEFT JOIN told AS f ON (f.bank_account, f.currency, f.statement_key, f.opening_date, f.closing_date,
                f.opening_minor, f.reached_minor)
            = (b.bank_account, b.currency, b.first_statement_key, b.first_opening_date, b.first_closing_date,
                b.first_opening_minor, b.first_reached_minor)
        LEFT JOIN told AS l ON (l.bank_account, l.currency, l.statement_key, l.opening_date, l.closing_date,
                l.opening_minor, l.reached_minor)
            = (b.bank_account, b.currency, b.last_statement_key, b.last_opening_date, b.last_closing_date,
                b.last_opening_minor, b.last_reached_minor)
        WHERE b.break_minor <> coalesce(s.break_minor, 0)
            OR coalesce(b.first_opening_minor, 0) <> coalesce(s.opening_minor - coalesce(e.moved, 0), 0)
            OR (f.there, l.there) IS DISTINCT FROM (s.reaches, s.reaches)
        ORDER BY 1 LIMIT 100
    """,  # noqa: S608
    "statement_entries_took_effect_when_booked": f"""
        SELECT e.id::text AS object, 'its status, day or time isn''t that of what has booked it' AS fact
        FROM statement_entries AS e
        LEFT JOIN journal_entries AS j ON j.id = e.journal_entry_id
        LEFT JOIN journal_entries AS a ON a.id = e.assigning_journal_entry_id
        WHERE CASE e.outcome
            WHEN 'duplicate' THEN FALSE
            WHEN 'not_booked' THEN e.reason IS DISTINCT FROM CASE WHEN e.status <> 'BOOK' THEN 'bank_has_not_booked'
                WHEN e.amount_minor = 0 THEN 'zero_amount' END
            ELSE e.status <> 'BOOK'
                -- At noon of the bank's day, which is cut where it isn't over yet.
                OR e.effective_at <> least((e.booking_date + time '12:00') AT TIME ZONE 'UTC', e.created_at)
                OR e.booked_ahead <> (e.booking_date > (e.created_at AT TIME ZONE 'UTC')::date)
                OR (e.journal_entry_id > {DETACHED} AND j.effective_at IS DISTINCT FROM e.effective_at)
                OR (e.assigning_journal_entry_id > {DETACHED} AND a.effective_at IS DISTINCT FROM e.effective_at) END
        ORDER BY e.id LIMIT 100
    """,  # noqa: S608
    "entries_show_what_was_ordered": f"""
        SELECT e.id::text AS object, 'it isn''t of what it shows, or hasn''t gone where that was' AS fact
        FROM statement_entries AS e
        LEFT JOIN transfers AS t ON t.id = coalesce(e.withdrawal_id, e.top_up_id)
            AND t.kind = CASE WHEN e.top_up_id IS NULL THEN 'withdrawal' ELSE 'top_up' END
            AND coalesce(t.from_wallet_id, t.to_wallet_id) = e.wallet_id
            AND t.currency = e.currency AND abs(e.amount_minor) <= t.amount_minor
        LEFT JOIN postings AS p ON p.entry_id = e.assigning_journal_entry_id AND p.account_id = t.cash_account_id
            AND p.amount_minor = -e.amount_minor
        WHERE coalesce(e.withdrawal_id, e.top_up_id) > {DETACHED}
            AND (t.id IS NULL OR (e.assigning_journal_entry_id > {DETACHED} AND p.entry_id IS NULL))
        ORDER BY e.id LIMIT 100
    """,  # noqa: S608
    "withdrawals_are_shown_once": _shown_once("withdrawals_shown", "withdrawal_id", "out", went="<"),
    "top_ups_are_shown_once": _shown_once("top_ups_shown", "top_up_id", "in", went=">"),
    "imports_are_taken_back_whole": f"""
        SELECT e.id::text AS object,
            CASE WHEN i.reversed_at IS NULL THEN 'it is taken back, and its import isn''t'
                WHEN NOT e.taken_back THEN 'its import was taken back, and it wasn''t'
                ELSE 'it was taken back, and what has booked it wasn''t undone' END AS fact
        FROM statement_entries AS e
        JOIN statement_imports AS i ON i.id = e.statement_import_id
        LEFT JOIN reversals AS r ON r.journal_entry_id = e.journal_entry_id
        WHERE (e.taken_back OR i.reversed_at IS NOT NULL)
            AND (NOT e.taken_back OR i.reversed_at IS NULL
                OR (e.journal_entry_id > {DETACHED} AND r.reversed_minor IS DISTINCT FROM abs(e.amount_minor)))
        ORDER BY e.id LIMIT 100
    """,  # noqa: S608
    "statements_name_what_they_posted": f"""
        SELECT s.id::text AS object,
            'what it names as its opening or break isn''t what moved the cash account by that' AS fact
        FROM statements AS s
        LEFT JOIN (
            SELECT e.statement_id, sum(e.amount_minor) AS moved
            FROM statement_entries AS e JOIN statements AS s ON s.id = e.statement_id
            WHERE {_MOVED} GROUP BY e.statement_id) AS e ON e.statement_id = s.id
        LEFT JOIN LATERAL (
            SELECT p.amount_minor FROM journal_entries AS j JOIN postings AS p ON p.entry_id = j.id
            WHERE j.id = s.opening_entry_id AND j.kind = 'statement_opening' AND p.account_id = s.cash_account_id
            OFFSET 0) AS o ON TRUE
        LEFT JOIN LATERAL (
            SELECT p.amount_minor FROM journal_entries AS j JOIN postings AS p ON p.entry_id = j.id
            WHERE j.id = s.break_entry_id AND j.kind = 'statement_break' AND p.account_id = s.cash_account_id
            OFFSET 0) AS b ON TRUE
        WHERE (s.opening_entry_id > {DETACHED} AND o.amount_minor IS DISTINCT FROM
                s.cash_after_minor - s.cash_before_minor - s.break_minor - coalesce(e.moved, 0))
            OR (s.break_entry_id > {DETACHED} AND b.amount_minor IS DISTINCT FROM s.break_minor)
        ORDER BY s.id LIMIT 100
    """,  # noqa: S608
    "statements_are_taken_back_whole": f"""
        SELECT s.id::text AS object,
            'its import was taken back, and what it posted besides entries wasn''t undone' AS fact
        FROM statements AS s JOIN statement_imports AS i ON i.id = s.statement_import_id
        CROSS JOIN LATERAL unnest(ARRAY[s.opening_entry_id, s.break_entry_id]) AS p (id)
        LEFT JOIN reversals AS r ON r.journal_entry_id = p.id
        WHERE i.reversed_at IS NOT NULL AND p.id > {DETACHED}
            AND (r.amount_minor IS NULL OR r.reversed_minor <> r.amount_minor)
        ORDER BY s.id LIMIT 100
    """,  # noqa: S608
    "copies_are_of_what_stands": """
        SELECT d.id::text AS object,
            'statement entry ' || e.id::text || ', of which it is a copy, was taken back' AS fact
        FROM statement_entries AS d JOIN statement_entries AS e ON e.id = d.duplicate_of
        WHERE e.taken_back AND NOT d.taken_back
        ORDER BY d.id LIMIT 100
    """,
    "duplicates_equal_their_entries": """
        SELECT d.id::text AS object,
            'it isn''t what statement entry ' || d.duplicate_of::text || ' is, of which it is a copy' AS fact
        FROM statement_entries AS d JOIN statement_entries AS e ON e.id = d.duplicate_of
        WHERE (d.dedup_key, d.bank_account, d.booking_date, d.value_date, d.amount_minor, d.currency, d.status)
            IS DISTINCT FROM
            (e.dedup_key, e.bank_account, e.booking_date, e.value_date, e.amount_minor, e.currency, e.status)
        ORDER BY d.id LIMIT 100
    """,
}
"""What must hold of banks' statements, by name."""
