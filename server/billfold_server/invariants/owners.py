"""Whose an account is, as far as the books tell it more than once.

The chain commits to it by the terms of wallets and accounts (ADR 61), which are compared here with what they are of.
Other rows tell it, too: what was moved, reserved, paid and stated, and how a wallet was opened.
"""

from typing import Final

from billfold_server.invariants.references import DETACHED

__all__ = ["OWNERS", "halves", "wire"]

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_FIRST_OF_BOTH: Final = 13
"""The character of an id on the wire whose five bits are one of the uuid's first half and four of its second."""
_CHARACTERS: Final = 26

# S608 below: the texts are made of the constants of this module.


def halves(column: str) -> str:
    """Return SQL that makes two bigints of a uuid, ``<column>_high`` and ``<column>_low``."""
    digits = f"replace({column}::text, '-', '')"
    return (
        f"('x' || left({digits}, 16))::bit(64)::bigint AS {column}_high, "
        f"('x' || right({digits}, 16))::bit(64)::bigint AS {column}_low"
    )


def wire(prefix: str, column: str) -> str:
    """Return SQL that writes a uuid, by its halves, as ``billfold.ids`` does.

    So the audit trail and events name things. It is done for each wallet every night, so it goes byte by byte into a
    text that is long enough already: an aggregate over the characters took 44 of 46 seconds for a million wallets.
    """
    high, low = f"{column}_high", f"{column}_low"
    alphabet, written = _bytes(_ALPHABET), _bytes(f"{prefix}_{'0' * _CHARACTERS}")
    for place in range(_CHARACTERS):
        # A uuid has 128 bits, and 26 characters hold 130: the first one has two that are always zero.
        if place < _FIRST_OF_BOTH:
            bits = f"({high} >> {61 - 5 * place}) & {7 if place == 0 else 31}"
        elif place == _FIRST_OF_BOTH:
            bits = f"(({high} & 1) << 4) | (({low} >> 60) & 15)"
        else:
            bits = f"({low} >> {125 - 5 * place}) & 31"
        written = f"set_byte({written}, {len(prefix) + 1 + place}, get_byte({alphabet}, ({bits})::integer))"
    return f"convert_from({written}, 'UTF8')"


def _bytes(text: str) -> str:
    return f"'\\x{text.encode().hex()}'::bytea"


OWNERS: Final[dict[str, str]] = {
    "wallets_are_on_their_terms": """
        SELECT coalesce(w.id, t.wallet_id)::text AS object, CASE
                WHEN t.wallet_id IS NULL THEN 'no record says that it was opened'
                WHEN w.id IS NULL THEN 'it isn''t there, and its terms are'
                ELSE 'it is ' || w.status || ' and of party ' || w.party_id::text || ', and its newest terms say '
                    || t.status || ' and party ' || t.party_id::text END AS fact
        FROM wallets AS w FULL JOIN (
            SELECT DISTINCT ON (wallet_id) wallet_id, party_id, status, opened_at
            FROM wallet_terms ORDER BY wallet_id, recorded_at DESC) AS t ON t.wallet_id = w.id
        WHERE CASE WHEN t.wallet_id IS NULL THEN EXISTS (SELECT FROM ledger_eras)
            ELSE (w.party_id, w.status, w.created_at) IS DISTINCT FROM (t.party_id, t.status, t.opened_at) END
        ORDER BY 1 LIMIT 100
    """,
    "accounts_are_on_their_terms": """
        SELECT coalesce(a.id, t.account_id)::text AS object, CASE
                WHEN t.account_id IS NULL THEN 'no record says that it was opened'
                WHEN a.id IS NULL THEN 'it isn''t there, and its terms are'
                ELSE 'it isn''t as its newest terms say' END AS fact
        FROM accounts AS a FULL JOIN (
            SELECT DISTINCT ON (account_id) account_id, wallet_id, code, type, normal_side, currency, status,
                overdraft_limit_minor, opened_at
            FROM account_terms ORDER BY account_id, recorded_at DESC) AS t ON t.account_id = a.id
        WHERE CASE WHEN t.account_id IS NULL THEN EXISTS (SELECT FROM ledger_eras)
            ELSE (a.wallet_id, a.code, a.type, a.normal_side, a.currency, a.status, a.overdraft_limit_minor,
                    a.created_at)
                IS DISTINCT FROM (t.wallet_id, t.code, t.type, t.normal_side, t.currency, t.status,
                    t.overdraft_limit_minor, t.opened_at) END
        ORDER BY 1 LIMIT 100
    """,
    "transfers_are_posted_to_their_wallets": f"""
        SELECT t.id::text AS object, 'its journal entry moves another amount, or on accounts of others' AS fact
        FROM transfers AS t
        LEFT JOIN postings AS d ON d.entry_id = t.id AND d.line = 0
        LEFT JOIN postings AS c ON c.entry_id = t.id AND c.line = 1
        LEFT JOIN accounts AS debited ON debited.id = d.account_id
        LEFT JOIN accounts AS credited ON credited.id = c.account_id
        WHERE t.id > {DETACHED}
            AND (debited.wallet_id IS DISTINCT FROM t.from_wallet_id
                OR credited.wallet_id IS DISTINCT FROM t.to_wallet_id
                OR t.cash_account_id IS DISTINCT FROM
                    CASE t.kind WHEN 'top_up' THEN debited.id WHEN 'withdrawal' THEN credited.id END
                OR d.amount_minor IS DISTINCT FROM t.amount_minor OR d.currency IS DISTINCT FROM t.currency)
        ORDER BY t.id LIMIT 100
    """,  # noqa: S608
    "holds_are_on_their_wallets_accounts": """
        SELECT h.id::text AS object, 'it reserves in another currency, or on accounts of other wallets' AS fact
        FROM holds AS h
        JOIN accounts AS a ON a.id = h.account_id
        LEFT JOIN accounts AS t ON t.id = h.to_account_id
        WHERE a.wallet_id IS DISTINCT FROM h.wallet_id OR t.wallet_id IS DISTINCT FROM h.to_wallet_id
            OR a.currency <> h.currency OR t.currency <> h.currency
        ORDER BY h.id LIMIT 100
    """,
    "payments_are_posted_to_their_wallets": f"""
        SELECT p.id::text AS object, 'its journal entry is on accounts of other wallets' AS fact
        FROM payments AS p
        JOIN postings AS d ON d.entry_id = p.journal_entry_id AND d.line = 0
        JOIN postings AS c ON c.entry_id = p.journal_entry_id AND c.line = 1
        JOIN accounts AS debited ON debited.id = d.account_id
        JOIN accounts AS credited ON credited.id = c.account_id
        WHERE p.journal_entry_id > {DETACHED}
            AND (debited.wallet_id IS DISTINCT FROM p.wallet_id OR credited.wallet_id IS DISTINCT FROM p.to_wallet_id)
        ORDER BY p.id LIMIT 100
    """,  # noqa: S608
    "payments_are_by_their_wallets_parties": """
        SELECT p.id::text AS object, 'it was ordered for party ' || p.party_id::text || ', but its wallet is of party '
                || w.party_id::text AS fact
        FROM payments AS p JOIN wallets AS w ON w.id = p.wallet_id
        WHERE w.party_id <> p.party_id
        ORDER BY p.id LIMIT 100
    """,
    "consents_are_about_their_parties_wallets": """
        SELECT c.id::text AS object, 'party ' || c.party_id::text || ' has given it, but wallet ' || w.id::text
                || ' is of party ' || w.party_id::text AS fact
        FROM consents AS c CROSS JOIN LATERAL unnest(c.wallet_ids) AS named (id) JOIN wallets AS w ON w.id = named.id
        WHERE w.party_id <> c.party_id
        ORDER BY c.id LIMIT 100
    """,
    "account_statements_are_of_their_wallets": """
        SELECT s.id::text AS object, 'its account is another wallet''s' AS fact
        FROM account_statements AS s JOIN accounts AS a ON a.id = s.account_id
        WHERE a.wallet_id IS DISTINCT FROM s.wallet_id OR a.currency <> s.currency
        ORDER BY s.id LIMIT 100
    """,
    "assigned_entries_are_posted_to_their_wallets": f"""
        SELECT e.id::text AS object, 'it was assigned to another account, or to one of another wallet' AS fact
        FROM statement_entries AS e
        JOIN postings AS c ON c.entry_id = e.assigning_journal_entry_id AND c.line = 1
        JOIN accounts AS a ON a.id = c.account_id
        -- What shows something ordered here goes to where that was on its way, out of its wallet or into it.
        WHERE e.assigning_journal_entry_id > {DETACHED} AND coalesce(e.withdrawal_id, e.top_up_id) IS NULL
            AND (a.wallet_id IS DISTINCT FROM e.wallet_id
            OR (e.wallet_id IS NULL AND e.account_id IS DISTINCT FROM a.id))
        ORDER BY e.id LIMIT 100
    """,  # noqa: S608
    "accounts_are_no_older_than_their_wallets": """
        SELECT a.id::text AS object, 'it was opened before wallet ' || w.id::text || ', whose it is' AS fact
        FROM accounts AS a JOIN wallets AS w ON w.id = a.wallet_id
        WHERE a.created_at < w.created_at
        ORDER BY a.id LIMIT 100
    """,
    # An id that was decided beforehand may be opened again in a sandbox that began anew; the newest word counts.
    "wallets_are_whose_they_were_opened_for": f"""
        SELECT told.id AS object, 'it is of ' || max(told.party_id) || ', but was opened for '
                || coalesce(max(told.audited), max(told.published)) AS fact
        FROM (
            SELECT {wire("wal", "id")} AS id, {wire("par", "party_id")} AS party_id,
                NULL AS audited, NULL AS published
            -- OFFSET keeps the halves from being worked out once for each character.
            FROM (SELECT {halves("id")}, {halves("party_id")} FROM wallets OFFSET 0) AS w
            UNION ALL
            (SELECT DISTINCT ON (object_id) object_id, NULL, facts->>'party_id', NULL
            FROM audit_records WHERE action = 'wallet.created' ORDER BY object_id, id DESC)
            UNION ALL
            (SELECT DISTINCT ON (object_id) object_id, NULL, NULL, data->>'party_id'
            FROM outbox_events WHERE type = 'wallet.created' ORDER BY object_id, sequence DESC)) AS told
        -- Grouped rather than joined: no plan of it compares each with each, whatever the planner expects.
        GROUP BY told.id
        HAVING max(told.party_id) <> max(told.audited) OR max(told.party_id) <> max(told.published)
        ORDER BY told.id LIMIT 100
    """,  # noqa: S608
}
"""What must hold of owners, by name."""
