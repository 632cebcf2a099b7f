"""What payments say of their money, against the journal entries that have moved it, and the way back.

The kind of a payment's closing entry says what has become of the money, as the payments room posts it. One that went
from suspense on to a rail or a wallet is closed by the later entry, so what took it to suspense is then named by
nobody; it is counted against what has left suspense.
"""

from typing import Final

from billfold_server.invariants.references import DETACHED

__all__ = ["PAYMENTS"]

# S608 below: the texts are made of this constant.

PAYMENTS: Final[dict[str, str]] = {
    "clearing_equals_payments_under_way": """
        SELECT coalesce(p.currency, a.currency) AS object,
            'the clearing account holds ' || coalesce(-a.posted_minor, 0)::text || ', but payments under way make '
                || coalesce(p.total, 0)::text AS fact
        FROM (
            SELECT p.currency, sum(p.amount_minor - coalesce(r.reversed_minor, 0)) AS total
            FROM payments AS p LEFT JOIN reversals AS r ON r.journal_entry_id = p.journal_entry_id
            WHERE p.money = 'under_way' GROUP BY p.currency) AS p
        FULL JOIN (
            SELECT currency, posted_minor FROM accounts WHERE code = 'payments_clearing') AS a
            ON a.currency = p.currency
        WHERE coalesce(-a.posted_minor, 0) <> coalesce(p.total, 0)
        ORDER BY 1 LIMIT 100
    """,
    "payments_have_their_entries": f"""
        SELECT p.id::text AS object,
            'its money is ' || p.money || ', but a journal entry is missing, of another kind, or moves another amount'
                AS fact
        FROM payments AS p
        LEFT JOIN journal_entries AS j ON j.id = p.journal_entry_id
        LEFT JOIN postings AS d ON d.entry_id = p.journal_entry_id AND d.line = 0
        LEFT JOIN reversals AS r ON r.journal_entry_id = p.journal_entry_id
        LEFT JOIN journal_entries AS c ON c.id = p.closing_entry_id
        LEFT JOIN postings AS l ON l.entry_id = p.closing_entry_id AND l.line = 1
        LEFT JOIN accounts AS a ON a.id = l.account_id
        WHERE (p.journal_entry_id > {DETACHED}
                AND (j.kind, d.amount_minor, d.currency) IS DISTINCT FROM (
                    CASE p.money WHEN 'inside' THEN 'transfer' ELSE 'payment' END, p.amount_minor, p.currency))
            OR (p.closing_entry_id > {DETACHED}
                AND ((abs(l.amount_minor), l.currency) IS DISTINCT FROM (p.amount_minor, p.currency)
                    OR CASE p.money
                        WHEN 'settled' THEN c.kind = 'payment.settled' AND a.code = 'rail:' || p.rail
                        WHEN 'suspense' THEN c.kind = 'payment.suspense' AND a.code = 'payments_suspense'
                        WHEN 'returned' THEN (c.kind = 'reversal' AND c.reverses = p.journal_entry_id)
                            OR (c.kind = 'payment.returned'
                                AND (a.wallet_id = p.wallet_id OR a.code = 'payments_unclaimed'))
                        END IS NOT TRUE))
            OR (p.money = 'by_hand' AND r.reversed_minor IS DISTINCT FROM p.amount_minor)
        ORDER BY p.id LIMIT 100
    """,  # noqa: S608
    "entries_of_payments_have_their_payment": """
        SELECT j.id::text AS object, 'it is of kind ' || j.kind || ', but no payment names it' AS fact
        FROM journal_entries AS j
        LEFT JOIN payments AS p ON p.journal_entry_id = j.id
        LEFT JOIN payments AS c ON c.closing_entry_id = j.id
        WHERE j.kind IN ('payment', 'payment.settled', 'payment.returned')
            AND CASE j.kind WHEN 'payment' THEN p.id ELSE c.id END IS NULL
        ORDER BY j.id LIMIT 100
    """,
    "entries_to_suspense_have_their_payment": """
        SELECT s.id::text AS object, 'no payment names it, and nothing has left suspense for it' AS fact
        FROM (
            SELECT j.id, l.currency, l.amount_minor,
                row_number() OVER (PARTITION BY l.currency, l.amount_minor ORDER BY j.id DESC) AS number
            FROM journal_entries AS j
            LEFT JOIN postings AS l ON l.entry_id = j.id AND l.line = 0
            LEFT JOIN payments AS p ON p.closing_entry_id = j.id
            WHERE j.kind = 'payment.suspense' AND p.id IS NULL) AS s
        LEFT JOIN (
            SELECT l.currency, l.amount_minor, count(*) AS number
            FROM accounts AS a
            JOIN postings AS l ON l.account_id = a.id AND l.line = 0
            JOIN journal_entries AS j ON j.id = l.entry_id
            WHERE a.code = 'payments_suspense' AND j.kind IN ('payment.settled', 'payment.returned')
            GROUP BY l.currency, l.amount_minor) AS o ON o.currency = s.currency AND o.amount_minor = s.amount_minor
        WHERE s.number > coalesce(o.number, 0)
        ORDER BY s.id LIMIT 100
    """,
    "payments_have_their_steps": """
        SELECT p.id::text AS object,
            'counts ' || p.steps::text || ' steps up to ' || p.status || ', but '
                || (o.steps + coalesce(s.steps, 0))::text || ' lead to ' || coalesce(s.status, o.status) AS fact
        FROM payments AS p
        LEFT JOIN (
            SELECT payment_id, count(*) AS steps, min(number) AS first, max(number) AS last,
                (array_agg(status ORDER BY number DESC))[1] AS status
            FROM payment_steps GROUP BY payment_id) AS s ON s.payment_id = p.id
        -- How a payment begins follows from its row, unless it is an old one, all of whose steps were written.
        CROSS JOIN LATERAL (
            SELECT CASE WHEN s.first = 1 THEN 0 WHEN p.to_wallet_id IS NULL THEN 3 ELSE 5 END AS steps,
                CASE WHEN p.to_wallet_id IS NULL THEN 'ACCP' ELSE 'ACCC' END AS status) AS o
        WHERE p.steps <> o.steps + coalesce(s.steps, 0) OR p.steps <> coalesce(s.last, o.steps)
            OR p.status <> coalesce(s.status, o.status)
        ORDER BY p.id LIMIT 100
    """,
    "payments_never_return_more": """
        SELECT coalesce(p.id, r.payment_id)::text AS object,
            coalesce(p.returned_minor::text || ' of ' || p.amount_minor::text || ' are back', 'it isn''t there')
                || ', its money is ' || coalesce(p.money, 'nowhere') || ', and its returns that stand make '
                || coalesce(r.total, 0)::text AS fact
        FROM payments AS p
        FULL JOIN (
            SELECT r.payment_id, sum(r.amount_minor - coalesce(v.reversed_minor, 0)) AS total
            FROM payment_returns AS r LEFT JOIN reversals AS v ON v.journal_entry_id = r.journal_entry_id
            GROUP BY r.payment_id) AS r ON r.payment_id = p.id
        WHERE p.returned_minor IS DISTINCT FROM coalesce(r.total, 0) OR p.returned_minor > p.amount_minor
            OR (p.returned_minor > 0 AND p.money <> 'settled')
        ORDER BY 1 LIMIT 100
    """,
    "returns_have_their_entries": f"""
        SELECT r.journal_entry_id::text AS object,
            'it isn''t there, or doesn''t bring ' || r.amount_minor::text || ' back to who has paid' AS fact
        FROM payment_returns AS r
        LEFT JOIN payments AS p ON p.id = r.payment_id
        LEFT JOIN journal_entries AS j ON j.id = r.journal_entry_id
        LEFT JOIN postings AS l ON l.entry_id = r.journal_entry_id AND l.line = 1
        LEFT JOIN accounts AS a ON a.id = l.account_id
        WHERE r.journal_entry_id > {DETACHED}
            AND ((-l.amount_minor, l.currency) IS DISTINCT FROM (r.amount_minor, p.currency)
                OR CASE j.kind
                    WHEN 'top_up' THEN a.wallet_id = p.wallet_id
                    WHEN 'payment.unclaimed' THEN a.code = 'payments_unclaimed' END IS NOT TRUE)
        ORDER BY r.journal_entry_id LIMIT 100
    """,  # noqa: S608
    "recurring_payments_add_up": """
        SELECT s.consent_id::text || '/' || s.period_type || '/' || s.starts_on::text AS object,
            'counts ' || s.spent_minor::text || ' of ' || s.payments::text || ' payments, but '
                || p.payments::text || ' make ' || p.total::text AS fact
        FROM vrp_periods AS s CROSS JOIN LATERAL (
            SELECT coalesce(sum(p.amount_minor), 0) AS total, count(*) AS payments
            FROM payments AS p
            WHERE p.consent_id = s.consent_id AND p.currency = s.currency AND p.status NOT IN ('RJCT', 'CANC')
                AND (p.created_at AT TIME ZONE 'UTC')::date >= s.starts_on
                AND (p.created_at AT TIME ZONE 'UTC')::date < s.ends_before) AS p
        WHERE (s.spent_minor, s.payments) IS DISTINCT FROM (p.total, p.payments)
        ORDER BY 1 LIMIT 100
    """,
    "recurring_payments_count": """
        SELECT p.id::text AS object, 'it counts in no period of its consent' AS fact
        FROM payments AS p JOIN consents AS c ON c.id = p.consent_id
        WHERE p.kind = 'domestic_vrp' AND p.status NOT IN ('RJCT', 'CANC') AND NOT EXISTS (
            SELECT FROM vrp_periods AS s
            WHERE s.consent_id = p.consent_id AND s.currency = p.currency
                AND (p.created_at AT TIME ZONE 'UTC')::date >= s.starts_on
                AND (p.created_at AT TIME ZONE 'UTC')::date < s.ends_before)
        ORDER BY p.id LIMIT 100
    """,
}
"""What must hold of payments, by name."""
