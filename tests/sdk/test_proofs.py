"""Signed heads and proofs of single entries, verified by public keys alone (billfold.proofs)."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from billfold import chain, ids
from billfold.contract.bookings import Balance
from billfold.contract.ledger import (
    LEDGER_HEAD_TYPE,
    Account,
    AccountType,
    JournalEntry,
    JournalEntryProof,
    LedgerHead,
    LedgerHeadClaims,
    NormalSide,
    Posting,
    ProofLink,
)
from billfold.contract.oauth import Jwk, JwkSet
from billfold.ids import Prefix
from billfold.proofs import InvalidProofError, verify_head, verify_proof

ISSUER = "https://wallet.example/t/demo_bank"
KEY = ECKey.generate_key("P-256")
STRANGER = ECKey.generate_key("P-256")
KID = ids.new(Prefix.SIGNING_KEY)
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
SALT = bytes(range(16))
ENTRY = JournalEntry(
    id=ids.new(Prefix.JOURNAL_ENTRY),
    sequence=7,
    kind="capture",
    description="Invoice 4711",
    postings=[
        Posting(account_id=ids.new(Prefix.ACCOUNT), amount_minor=1250, currency="EUR", balance_after_minor=-50),
        Posting(account_id=ids.new(Prefix.ACCOUNT), amount_minor=-1250, currency="EUR", balance_after_minor=1250),
    ],
    reverses=None,
    hold_id=ids.new(Prefix.HOLD),
    effective_at=AT,
    recorded_at=AT + timedelta(microseconds=1),
    metadata={"order": "1"},
)

ACCOUNTS = [
    Account(
        id=posting.account_id,
        code="fees",
        type=AccountType.INCOME,
        normal_side=NormalSide.CREDIT,
        wallet_id=None,
        name=None,
        balance=Balance(
            account_id=posting.account_id,
            currency="EUR",
            posted_minor=posting.balance_after_minor,
            pending_minor=0,
            held_minor=0,
            available_minor=posting.balance_after_minor,
            overdraft_limit_minor=None,
        ),
        metadata={},
        version=1,
        created_at=AT,
    )
    for posting in ENTRY.postings
]


def turned(posting: Posting) -> Posting:
    """Return a posting with its balance on the other side."""
    return msgspec.structs.replace(posting, balance_after_minor=-posting.balance_after_minor)


def public(key: ECKey, kid: str = KID) -> JwkSet:
    """Return a tenant's JWKS with one key."""
    point = key.as_dict(private=False)
    return JwkSet(
        keys=[Jwk(kty="EC", crv="P-256", x=str(point["x"]), y=str(point["y"]), kid=kid, use="sig", alg="ES256")]
    )


KEYS = public(KEY)


def sign(claims: LedgerHeadClaims, *, key: Any = KEY, **header: Any) -> str:
    """Sign what a head says."""
    header = {"alg": "ES256", "typ": LEDGER_HEAD_TYPE, "kid": KID, **header}
    return jwt.encode(header, msgspec.to_builtins(claims), key, algorithms=[header["alg"]])


def signed(head: chain.Head, **header: Any) -> LedgerHead:
    """Return a signed head."""
    facts: dict[str, Any] = {"number": head.number, "hash": head.hash.hex(), "sequence": 9, "recorded_at": AT}
    return LedgerHead(**facts, jws=sign(LedgerHeadClaims(iss=ISSUER, **facts), **header))


def text_of(entry: JournalEntry) -> str:
    """Return an entry's record, with the signs that the API doesn't show."""
    hold_id = None if entry.hold_id is None else ids.decode(Prefix.HOLD, entry.hold_id)
    return chain.entry_text(
        sequence=entry.sequence,
        id=ids.decode(Prefix.JOURNAL_ENTRY, entry.id),
        kind=entry.kind,
        reverses=None,
        hold_id=hold_id,
        effective_at=entry.effective_at,
        recorded_at=entry.recorded_at,
        commitment=chain.commitment(SALT, entry.description, entry.metadata),
        postings=[
            (line, ids.decode(Prefix.ACCOUNT, p.account_id), p.amount_minor, p.currency, -p.balance_after_minor)
            for line, p in enumerate(entry.postings)
        ],
    )


def prove(number: int = 3, length: int = 12) -> tuple[JournalEntryProof, chain.Head]:
    """Return a proof that the entry is in a link of a chain, and the chain's head."""
    head, stored = chain.START, {}
    for each in range(1, length + 1):
        leaves = [chain.leaf(f"{each}-{place}") for place in range(3)]
        if each == number:
            leaves[1] = chain.leaf(text_of(ENTRY))
        when = AT + timedelta(seconds=each)
        head, link = head.extend(leaves, when)
        stored[each] = chain.StoredLink(each, when, b"".join(leaves), link.hash)
    proof = chain.inclusion_proof(length, number, 1, stored)
    made = JournalEntryProof(
        journal_entry_id=ENTRY.id,
        head=signed(head),
        record=text_of(ENTRY),
        text_salt=SALT.hex(),
        index=proof.index,
        path=[each.hex() for each in proof.path],
        links=[
            ProofLink(
                number=link.number,
                previous=link.previous.hex(),
                skip=link.skip.hex(),
                recorded_at=link.recorded_at,
                count=link.count,
                root=link.root.hex(),
            )
            for link in proof.links
        ],
    )
    return made, head


class TestASignedHead:
    def test_is_believed(self):
        """One that the tenant's key has signed is returned as the chain knows it."""
        head = chain.Head(number=12, hash=bytes([7]) * 32)
        assert verify_head(signed(head), KEYS, issuer=ISSUER) == head
        assert verify_head(signed(head), msgspec.to_builtins(KEYS), issuer=f"{ISSUER}/") == head

    @pytest.mark.parametrize(
        "head",
        [
            signed(chain.START, key=STRANGER),
            signed(chain.START, kid="another"),
            signed(chain.START, typ="at+jwt"),
            msgspec.structs.replace(signed(chain.START), jws="no.jws.atall"),
            msgspec.structs.replace(signed(chain.START), jws=""),
            msgspec.structs.replace(signed(chain.START), jws=signed(chain.START).jws[:-8] + "AAAAAAAA"),
        ],
        ids=["stranger", "key", "type", "text", "nothing", "signature"],
    )
    def test_is_refused_where_the_tenant_has_not_signed_it(self, head: LedgerHead):
        """Another key, another kind of token and anything that isn't a JWS are no signature."""
        with pytest.raises(InvalidProofError) as refused:
            verify_head(head, KEYS, issuer=ISSUER)
        assert refused.value.fact == "signature"

    def test_is_refused_with_an_algorithm_of_its_own_choice(self):
        """The key's public half is no secret, so a symmetric signature with it is none."""
        claims = LedgerHeadClaims(iss=ISSUER, number=0, hash=bytes(32).hex(), sequence=0, recorded_at=AT)
        for jws in (_unsigned(claims), _keyed(claims)):
            head = LedgerHead(number=0, hash=bytes(32).hex(), sequence=0, recorded_at=AT, jws=jws)
            with pytest.raises(InvalidProofError) as refused:
                verify_head(head, KEYS, issuer=ISSUER)
            assert refused.value.fact == "signature"

    def test_is_refused_where_another_tenant_has_signed_it(self):
        """Tenants of one deployment don't vouch for each other."""
        with pytest.raises(InvalidProofError) as refused:
            verify_head(signed(chain.START), KEYS, issuer="https://wallet.example/t/other")
        assert refused.value.fact == "signature"

    @pytest.mark.parametrize(
        "change", [{"number": 1}, {"hash": "11" * 32}, {"sequence": 1}, {"recorded_at": AT + timedelta(seconds=1)}]
    )
    def test_is_refused_where_it_says_something_else(self, change: dict[str, Any]):
        """What stands beside the signature must be what was signed."""
        with pytest.raises(InvalidProofError) as refused:
            verify_head(msgspec.structs.replace(signed(chain.START), **change), KEYS, issuer=ISSUER)
        assert refused.value.fact == "head"


def _encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).decode().rstrip("=")


def _unsigned(claims: LedgerHeadClaims) -> str:
    return f"{_encoded({'alg': 'none', 'typ': LEDGER_HEAD_TYPE, 'kid': KID})}.{_encoded(claims)}."


def _keyed(claims: LedgerHeadClaims) -> str:
    return f"{_encoded({'alg': 'HS256', 'typ': LEDGER_HEAD_TYPE, 'kid': KID})}.{_encoded(claims)}.{_encoded('x' * 24)}"


class TestAProof:
    @pytest.mark.parametrize("number", [1, 3, 7, 12])
    def test_shows_the_entry_as_it_is_in_the_chain(self, number: int):
        """The proven entry has the facts of the one that the API shows, balances with their sign."""
        proof, head = prove(number)
        proven = verify_proof(proof, KEYS, issuer=ISSUER, entry=ENTRY, accounts=ACCOUNTS, trusted=head)
        assert (proven.id, proven.sequence, proven.kind, proven.hold_id) == (ENTRY.id, 7, "capture", ENTRY.hold_id)
        assert (proven.effective_at, proven.recorded_at) == (ENTRY.effective_at, ENTRY.recorded_at)
        assert [posting.posted_after_minor for posting in proven.postings] == [50, -1250]
        assert proven.text_commitment == chain.commitment(SALT, ENTRY.description, ENTRY.metadata)

    def test_does_without_text_that_was_erased(self):
        """Without salt and text the entry is proven all the same."""
        proof, _ = prove()
        erased = msgspec.structs.replace(ENTRY, description=None, metadata={})
        verify_proof(
            msgspec.structs.replace(proof, text_salt=None), KEYS, issuer=ISSUER, entry=erased, accounts=ACCOUNTS
        )

    @pytest.mark.parametrize(
        ("change", "fact"),
        [
            ({"sequence": 8}, "record"),
            ({"kind": "transfer"}, "record"),
            ({"hold_id": None}, "record"),
            ({"effective_at": AT + timedelta(seconds=1)}, "record"),
            ({"postings": ENTRY.postings[:1]}, "record"),
            ({"postings": [msgspec.structs.replace(ENTRY.postings[0], amount_minor=1), ENTRY.postings[1]]}, "record"),
            ({"postings": [turned(posting) for posting in ENTRY.postings]}, "record"),
            ({"postings": [ENTRY.postings[0], turned(ENTRY.postings[1])]}, "record"),
            ({"description": "Invoice 4712"}, "text"),
            ({"description": None, "metadata": {}}, "text"),
            ({"metadata": {"order": "2"}}, "text"),
        ],
    )
    def test_is_not_one_of_an_entry_with_other_facts(self, change: dict[str, Any], fact: str):
        """What the API shows is compared with what is proven, text by its commitment."""
        proof, _ = prove()
        with pytest.raises(InvalidProofError) as refused:
            changed = msgspec.structs.replace(ENTRY, **change)
            verify_proof(proof, KEYS, issuer=ISSUER, entry=changed, accounts=ACCOUNTS)
        assert refused.value.fact == fact

    def test_is_compared_with_balances_by_the_accounts(self):
        """On which side a balance is shown only its account says: without it, the entry isn't proven to be this one."""
        proof, _ = prove()
        for accounts in ([], ACCOUNTS[:1]):
            with pytest.raises(InvalidProofError) as refused:
                verify_proof(proof, KEYS, issuer=ISSUER, entry=ENTRY, accounts=accounts)
            assert refused.value.fact == "account"

    @pytest.mark.parametrize(
        ("change", "fact"),
        [
            ({"journal_entry_id": ids.new(Prefix.JOURNAL_ENTRY)}, "record"),
            ({"record": "entry"}, "path"),
            ({"index": 2}, "path"),
            ({"path": []}, "path"),
            ({"path": ["zz"]}, "path"),
            ({"path": ["11"]}, "path"),
            ({"links": []}, "links"),
            ({"head": signed(chain.Head(number=12, hash=bytes(32)))}, "links"),
            ({"head": signed(chain.Head(number=11, hash=bytes(32)))}, "links"),
        ],
    )
    def test_is_refused_where_it_leads_elsewhere(self, change: dict[str, Any], fact: str):
        """A proof whose parts don't fit each other shows nothing."""
        proof, _ = prove()
        with pytest.raises(InvalidProofError) as refused:
            verify_proof(msgspec.structs.replace(proof, **change), KEYS, issuer=ISSUER)
        assert refused.value.fact == fact

    def test_is_refused_where_its_head_is_not_the_one_that_was_kept(self):
        """A ledger that was rewritten can sign a new head of the same number, but not be the old one."""
        proof, head = prove()
        kept = chain.Head(number=head.number, hash=bytes(32))
        with pytest.raises(InvalidProofError) as refused:
            verify_proof(proof, KEYS, issuer=ISSUER, trusted=kept)
        assert refused.value.fact == "head"

    def test_is_not_one_of_something_that_is_no_entry(self):
        """A record of a hold's movement is in the chain, but is no journal entry."""
        head, link = chain.START.extend([chain.leaf("movement\n1")], AT)
        proof = JournalEntryProof(
            journal_entry_id=ENTRY.id,
            head=signed(head),
            record="movement\n1",
            text_salt=None,
            index=0,
            path=[],
            links=[
                ProofLink(
                    number=1,
                    previous=link.previous.hex(),
                    skip=link.skip.hex(),
                    recorded_at=AT,
                    count=1,
                    root=link.root.hex(),
                )
            ],
        )
        with pytest.raises(InvalidProofError) as refused:
            verify_proof(proof, KEYS, issuer=ISSUER)
        assert refused.value.fact == "record"


class TestARefusal:
    @pytest.mark.parametrize(
        ("keys", "issuer", "words"),
        [
            (KEYS, "https://wallet.example/t/other", "another issuer"),
            (JwkSet(keys=[]), ISSUER, "no keys were given"),
            (public(STRANGER, ids.new(Prefix.SIGNING_KEY)), ISSUER, "none of the keys"),
        ],
        ids=["issuer", "no keys", "other keys"],
    )
    def test_tells_what_was_given_wrongly(self, keys: JwkSet, issuer: str, words: str):
        """A signature that can't be verified may be no fault of the signature's."""
        proof, _ = prove()
        with pytest.raises(InvalidProofError, match=words) as refused:
            verify_proof(proof, keys, issuer=issuer)
        assert refused.value.fact == "signature"
