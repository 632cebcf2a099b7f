"""What a verification doesn't hold: the members of an export's lines that may be changed without its notice.

The chain commits to journal entries, to holds and their movements, and to checkpoints. Everything else is held as far
as it repeats these, is made of them, or refers to something. What is left is listed here with the reason.

Ids are held by what refers to them. Of what hangs on entries whose months were detached (``transfer``, ``reversal``, a
hold's ``journal_entry_ids``), only order, references and shape are held: what they would be compared with is in the
archives. Text that is erased whole, with its salt, is no damage where somebody was forgotten whose account the entry
is on, or whose wallet the hold is on or for.

Whole lines that nothing refers to may go, or come, if the last line counts them so: aliases, kept answers, other rooms'
rows, and parties that own nothing.

All this is so from the beginning of the second era on (``billfold.chain.era_text``). Of the first era ``UNHELD_BEFORE``
says what further isn't held: a wallet or account whose terms haven't been recorded yet (``Verification.unrecorded``)
and that nothing refers to may go or come, and whose it is, is told by its row alone. It also says what isn't held of a
hold that was placed before the chain said as what, in either era: one that no ``hold_terms`` were written of.
"""

from collections.abc import Mapping
from typing import Final

from billfold.chain.records import (
    AccountRecord,
    AliasRecord,
    HeadRecord,
    HoldRecord,
    IdempotencyKeyRecord,
    PartyRecord,
    RowRecord,
    TransferRecord,
    WalletRecord,
)

__all__ = ["UNHELD", "UNHELD_BEFORE"]

_STATE: Final = "it is state, which may change without a posting"
_TIMES: Final = {"version": _STATE, "updated_at": _STATE}
_UNTOLD: Final = "nothing else tells when"
_BEFORE: Final = "it is in the chain with its terms, which haven't been recorded"
_PLACED: Final = "it is in the chain with what the hold was placed as, which wasn't recorded yet"
_KEPT_ANSWER: Final = "a kept answer is no record of the books: no chain commits to it, and it goes in time"

UNHELD: Final[Mapping[type, Mapping[str, str]]] = {
    HeadRecord: {
        "tenant": "books may be moved to a tenant of another name",
        "revision": "batches that post nothing count, too; it is only no less than the links",
    },
    PartyRecord: {
        "kind": _STATE,
        "external_id": _STATE,
        "roles": _STATE,
        "forgotten_at": _STATE,
        "created_at": _UNTOLD,
        **_TIMES,
    },
    WalletRecord: {
        "status_reason": _STATE,
        "label": _STATE,
        "currencies": "their order is state; each is the currency of one of its accounts",
        "metadata": _STATE,
        **_TIMES,
    },
    AliasRecord: {
        "id": "nothing refers to it; it only is in order",
        "wallet_id": "aliases come and go; it only is a wallet that is there",
        "scheme": "aliases come and go",
        "value": "aliases come and go",
        "normal_value": "aliases come and go",
        "created_at": "aliases come and go",
    },
    AccountRecord: {
        "name": _STATE,
        "metadata": _STATE,
        **_TIMES,
    },
    TransferRecord: {
        "actor": "it is written for the audit trail, whose own chain holds it",
        "request_id": "it is written for the audit trail, whose own chain holds it",
    },
    RowRecord: {
        "table": "no chain commits to other rooms' rows; they only come in order, table by table",
        "columns": "no chain commits to other rooms' rows; only wallets, parties and accounts are looked up",
    },
    IdempotencyKeyRecord: {
        "client_id": "API clients aren't part of an export; keys only come in order",
        "key": _KEPT_ANSWER,
        "fingerprint": _KEPT_ANSWER,
        "status": _KEPT_ANSWER,
        "body": "an id in an answer isn't looked up: it would take every entry's to be kept until the keys come",
        "created_at": _KEPT_ANSWER,
    },
}
"""By type of record: each member that isn't held, or not wholly, and why. Every other member is held."""

UNHELD_BEFORE: Final[Mapping[type, Mapping[str, str]]] = {
    WalletRecord: {
        "party_id": f"{_BEFORE}; it only is a party that is there",
        "status": f"{_BEFORE}; it only is its accounts'",
        "created_at": _BEFORE,
    },
    AccountRecord: {
        "code": f"{_BEFORE}; a code is only there for what is no wallet's, and once in a currency",
        "wallet_id": f"{_BEFORE}; it only is that of its holds and transfers",
        "type": f"{_BEFORE}; it only goes with the normal side, and a wallet's is a liability",
        "normal_side": f"{_BEFORE}; it only goes with the type and with the transfers' balances",
        "currency": f"{_BEFORE}; it is that of its wallet, its postings and its holds",
        "status": f"{_BEFORE}; it only is its wallet's",
        "overdraft_limit_minor": f"{_BEFORE}; the balance only keeps within it",
        "created_at": _BEFORE,
    },
    TransferRecord: {
        "metadata": "an entry without any is of a transfer without, or from before 1.0; otherwise both are the same",
    },
    HoldRecord: {
        "expires_at": f"{_PLACED}; it only is as late as the hold's end shows, or as early",
        "description": f"{_PLACED}, or else with its captures; it is blanked when a party is forgotten",
        "metadata": _PLACED,
    },
}
"""What isn't held besides, where the terms of a wallet, account or hold weren't recorded, and of the first era."""
