"""The chain that makes a ledger tamper-evident, and what verifies it without a server.

Every journal entry and every movement of a hold is a *record* with one text and a *leaf*, the text's hash; so are the
*terms* of a wallet or account, which say whose it is, as it was opened and after each change, and those of a hold,
which say what it was placed as. The records that were committed together are the leaves of a Merkle tree (RFC 9162,
section 2.1), and the tree's root goes into a *link*, which names the hash of the link before and of one further back.
The newest link's hash, the *head*, stands for everything ever posted: whoever keeps a head notices any later change to
what it stands for.

A link's second hash skips back as in a skew-binary list (E. W. Myers, "An applicative random-access stack", 1983), so
any link is reached from any later one in fewer than 3 log2(n) steps, which keeps proofs short.

Personal text never enters a record. It is committed to with a salt, so that erasing text and salt together leaves
nothing to guess it by, and the chain whole.

``verify_export`` reads what ``billfold ledger export`` has written, and names the first record that isn't as it was::

    from billfold.chain import verify_export

    verification = verify_export("books.jsonl")
    if not verification.ok:
        print(verification.findings[0])

``UNHELD`` lists what an export may say otherwise without contradicting the chain, and why; ``UNHELD_BEFORE`` what more
of books that began before the chain said whose wallets and accounts are, or what holds were placed as.

The audit trail has a chain of the same construction, which is of its own (``billfold.chain.trail``). What
``billfold audit export`` has written is read by ``verify_trail_export``.

All hashes are SHA-256, 32 bytes.
"""

from billfold.chain.checkpoints import balances_digest, checkpoint_leaf, checkpoint_text
from billfold.chain.entries import EntryFacts, PostingFacts, entry_leaves
from billfold.chain.findings import Damage, Finding
from billfold.chain.links import (
    HASH_BYTES,
    NOTHING,
    START,
    BrokenLinkError,
    Head,
    InclusionProof,
    InvalidProofError,
    Link,
    StoredLink,
    commitment,
    entry_leaf,
    entry_text,
    inclusion_path,
    inclusion_proof,
    leaf,
    links_for_proof,
    movement_leaf,
    movement_text,
    root_of_path,
    skipped,
    tree_root,
    verify_inclusion,
)
from billfold.chain.terms import (
    ERA,
    account_terms_leaf,
    account_terms_text,
    era_leaf,
    era_text,
    hold_terms_leaf,
    hold_terms_text,
    wallet_terms_leaf,
    wallet_terms_text,
)
from billfold.chain.trail import (
    TRAIL_START,
    TrailHead,
    TrailLink,
    audit_record_leaf,
    audit_record_text,
    ordered_leaf,
    ordered_text,
    seal_leaf,
    seal_text,
)
from billfold.chain.trail_verification import TrailVerification, TrailVerifier, verify_trail_export
from billfold.chain.unheld import UNHELD, UNHELD_BEFORE
from billfold.chain.verification import Verification, Verifier, verify_export

__all__ = [
    "ERA",
    "HASH_BYTES",
    "NOTHING",
    "START",
    "TRAIL_START",
    "UNHELD",
    "UNHELD_BEFORE",
    "BrokenLinkError",
    "Damage",
    "EntryFacts",
    "Finding",
    "Head",
    "InclusionProof",
    "InvalidProofError",
    "Link",
    "PostingFacts",
    "StoredLink",
    "TrailHead",
    "TrailLink",
    "TrailVerification",
    "TrailVerifier",
    "Verification",
    "Verifier",
    "account_terms_leaf",
    "account_terms_text",
    "audit_record_leaf",
    "audit_record_text",
    "balances_digest",
    "checkpoint_leaf",
    "checkpoint_text",
    "commitment",
    "entry_leaf",
    "entry_leaves",
    "entry_text",
    "era_leaf",
    "era_text",
    "hold_terms_leaf",
    "hold_terms_text",
    "inclusion_path",
    "inclusion_proof",
    "leaf",
    "links_for_proof",
    "movement_leaf",
    "movement_text",
    "ordered_leaf",
    "ordered_text",
    "root_of_path",
    "seal_leaf",
    "seal_text",
    "skipped",
    "tree_root",
    "verify_export",
    "verify_inclusion",
    "verify_trail_export",
    "wallet_terms_leaf",
    "wallet_terms_text",
]
