"""The ledger's chain: texts, leaves, trees, links and proofs (billfold.chain)."""

import hashlib
import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold import chain
from billfold.chain import (
    BrokenLinkError,
    Head,
    InclusionProof,
    InvalidProofError,
    Link,
    StoredLink,
    inclusion_path,
    inclusion_proof,
    links,
    links_for_proof,
    root_of_path,
    skipped,
    tree_root,
    verify_inclusion,
)

WHEN = datetime(2026, 11, 20, 14, 30, 0, 123456, UTC)
ENTRY = UUID("019a9f00-0000-7000-8000-000000000001")
HOLD = UUID("019a9f00-0000-7000-8000-000000000002")
ALICE = UUID("019a9f00-0000-7000-8000-00000000000a")
BOB = UUID("019a9f00-0000-7000-8000-00000000000b")
UUIDS = st.integers(0, 2**128 - 1).map(lambda number: UUID(int=number))
INSTANTS = st.datetimes(datetime(1950, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone.
AMOUNTS = st.integers(-(10**15), 10**15)


class Line(msgspec.Struct, frozen=True):
    """A posting, as its entry's record tells of it."""

    line: int
    account_id: UUID
    amount_minor: int
    currency: str
    posted_after_minor: int


class Entry(msgspec.Struct, frozen=True):
    """A journal entry, as its record tells of it."""

    sequence: int
    id: UUID
    kind: str
    reverses: UUID | None
    hold_id: UUID | None
    effective_at: datetime
    recorded_at: datetime
    text_commitment: bytes | None
    postings: tuple[Line, ...]


def leaf_of(entry: Entry) -> bytes:
    """Return the leaf of an entry by itself."""
    facts = msgspec.structs.asdict(entry)
    postings = [msgspec.structs.astuple(line) for line in facts.pop("postings")]
    return chain.entry_leaf(commitment=facts.pop("text_commitment"), postings=postings, **facts)


LINES = st.builds(Line, st.integers(1, 99), UUIDS, AMOUNTS, st.just("EUR"), AMOUNTS)
ENTRIES = st.builds(
    Entry,
    sequence=st.integers(1, 2**63 - 1),
    id=UUIDS,
    kind=st.sampled_from(["transfer", "top_up"]),
    reverses=st.none() | UUIDS,
    hold_id=st.none() | UUIDS,
    effective_at=st.just(WHEN) | INSTANTS,
    recorded_at=INSTANTS,
    text_commitment=st.none() | st.binary(min_size=32, max_size=32),
    postings=st.lists(LINES, max_size=3).map(tuple),
)

# Published with RFC 6962 (certificate-transparency's reference tests): eight inputs, and the roots over the first n.
INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def published_leaves(count: int) -> list[bytes]:
    """Hash the first of the published inputs."""
    return [hashlib.sha256(b"\x00" + data).digest() for data in INPUTS[:count]]


def naive_root(leaves: list[bytes]) -> bytes:
    """The definition in RFC 9162, section 2.1.1, as it stands: split at the largest power of two below the length."""
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return hashlib.sha256(b"\x01" + naive_root(leaves[:half]) + naive_root(leaves[half:])).digest()


def naive_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """The definition in RFC 9162, section 2.1.3.1, as it stands."""
    if len(leaves) == 1:
        return []
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    if index < half:
        return [*naive_path(index, leaves[:half]), naive_root(leaves[half:])]
    return [*naive_path(index - half, leaves[half:]), naive_root(leaves[:half])]


def micros(instant: datetime) -> int:
    """Count microseconds since 1970 without a division."""
    past = instant - datetime(1970, 1, 1, tzinfo=UTC)
    return (past.days * 86_400 + past.seconds) * 1_000_000 + past.microseconds


def some_leaves(count: int, name: str = "") -> list[bytes]:
    """Make leaves of records whose texts are a name and a number."""
    return [chain.leaf(f"{name}{number}") for number in range(count)]


def build(counts: list[int]) -> tuple[Head, dict[int, StoredLink]]:
    """Make a chain whose links have so many leaves."""
    head, stored = chain.START, {}
    for number, count in enumerate(counts, 1):
        leaves, when = some_leaves(count, f"{number}-"), WHEN + timedelta(seconds=number)
        head, link = head.extend(leaves, when)
        assert link.number == number
        stored[number] = StoredLink(number, when, b"".join(leaves), link.hash)
    return head, stored


def prove(head: Head, number: int, index: int, stored: dict[int, StoredLink]) -> InclusionProof:
    """Make a proof from no more links than are asked for."""
    few = {one: stored[one] for one in links_for_proof(head.number, number)}
    return inclusion_proof(head.number, number, index, few)


class TestATree:
    @pytest.mark.parametrize("count", range(1, 9))
    def test_has_the_published_root(self, count: int):
        """The test vectors that came with RFC 6962, whose tree RFC 9162 keeps, come out."""
        assert tree_root(published_leaves(count)).hex() == ROOTS[count - 1]

    @given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=70))
    def test_is_the_one_that_is_defined(self, leaves: list[bytes]):
        """Hashing by twos from below gives the root of RFC 9162's recursive definition."""
        assert tree_root(leaves) == naive_root(leaves)

    @given(st.data())
    def test_has_the_paths_that_are_defined(self, data: st.DataObject):
        """A leaf's path is that of RFC 9162's recursive definition, and leads to the root."""
        leaves = data.draw(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=70))
        index = data.draw(st.integers(0, len(leaves) - 1))
        path = inclusion_path(leaves, index)
        assert path == naive_path(index, leaves)
        assert root_of_path(leaves[index], index, len(leaves), path) == tree_root(leaves)

    @given(st.data())
    def test_refuses_another_path(self, data: st.DataObject):
        """Another leaf, place or size, or a path that is changed, cut or prolonged, doesn't lead to the root."""
        count = data.draw(st.integers(2, 40))
        leaves = some_leaves(count)
        index = data.draw(st.integers(0, count - 1))
        root, path = tree_root(leaves), inclusion_path(leaves, index)
        other = data.draw(st.integers(-1, count + 1).filter(lambda one: one != index))
        place = data.draw(st.integers(0, len(path) - 1))
        changed = [*path[:place], bytes(32), *path[place + 1 :]]
        assert root_of_path(chain.leaf("other"), index, count, path) != root
        assert root_of_path(leaves[index], other, count, path) != root
        assert root_of_path(leaves[index], index, count, changed) != root
        assert root_of_path(leaves[index], index, count, path[:-1]) != root
        assert root_of_path(leaves[index], index, count, [*path, bytes(32)]) != root

    def test_has_at_least_one_leaf(self):
        """There is no root over nothing, as no link holds nothing."""
        with pytest.raises(ValueError, match="at least one"):
            tree_root([])


class TestARecord:
    def test_of_an_entry_has_one_text(self):
        """The text of a journal entry is fixed to the byte, because old ledgers were hashed by it."""
        text = chain.entry_text(
            sequence=7,
            id=ENTRY,
            kind="transfer",
            reverses=None,
            hold_id=HOLD,
            effective_at=WHEN,
            recorded_at=WHEN + timedelta(microseconds=1),
            commitment=None,
            postings=[(1, ALICE, 1250, "EUR", -50), (2, BOB, -1250, "EUR", 0)],
        )
        assert text == (
            "entry\n7\n019a9f00000070008000000000000001\ntransfer\n-\n019a9f00000070008000000000000002\n"
            "1795185000123456\n1795185000123457\n-\n"
            "1 019a9f0000007000800000000000000a 1250 EUR -50\n2 019a9f0000007000800000000000000b -1250 EUR 0"
        )

    def test_of_a_movement_has_one_text(self):
        """The text of a hold's movement is fixed to the byte."""
        text = chain.movement_text(
            hold_id=HOLD,
            step=2,
            account_id=ALICE,
            to_account_id=None,
            delta_minor=-300,
            effective_at=WHEN,
            recorded_at=WHEN,
            held_after_minor=0,
            pending_after_minor=None,
        )
        assert text == (
            "movement\n019a9f00000070008000000000000002\n2\n019a9f0000007000800000000000000a\n-\n-300\n"
            "1795185000123456\n1795185000123456\n0\n-"
        )

    def test_of_terms_and_eras_has_one_text(self):
        """The texts of a wallet's and an account's terms and of an era are fixed to the byte."""
        times: dict[str, Any] = {"opened_at": WHEN, "recorded_at": WHEN + timedelta(microseconds=1)}
        wallet: dict[str, Any] = {"kind": "opened", "wallet_id": ALICE, "party_id": BOB, "status": "active", **times}
        assert chain.wallet_terms_text(**wallet) == (
            "wallet\nopened\n019a9f0000007000800000000000000a\n019a9f0000007000800000000000000b\nactive\n"
            "1795185000123456\n1795185000123457"
        )
        account: dict[str, Any] = {
            "kind": "changed",
            "account_id": ALICE,
            "wallet_id": None,
            "code": "fees",
            "type": "income",
            "normal_side": "credit",
            "currency": "EUR",
            "status": "active",
            "overdraft_limit_minor": 500,
            **times,
        }
        assert chain.account_terms_text(**account) == (
            "account\nchanged\n019a9f0000007000800000000000000a\n-\nfees\nincome\ncredit\nEUR\nactive\n500\n"
            "1795185000123456\n1795185000123457"
        )
        owned = {**account, "wallet_id": BOB, "code": None, "overdraft_limit_minor": None}
        assert chain.account_terms_text(**owned) == (
            "account\nchanged\n019a9f0000007000800000000000000a\n019a9f0000007000800000000000000b\n-\nincome\ncredit\n"
            "EUR\nactive\n-\n1795185000123456\n1795185000123457"
        )
        assert chain.era_text(number=2, recorded_at=WHEN) == "era\n2\n1795185000123456"
        assert chain.wallet_terms_leaf(**wallet) == chain.leaf(chain.wallet_terms_text(**wallet))
        assert chain.account_terms_leaf(**account) == chain.leaf(chain.account_terms_text(**account))
        assert chain.era_leaf(number=2, recorded_at=WHEN) == chain.leaf("era\n2\n1795185000123456")

    def test_of_what_a_hold_was_placed_as_has_one_text(self):
        """The text of a hold's terms, and so its leaf, is fixed to the byte."""
        placed: dict[str, Any] = {
            "hold_id": HOLD,
            "wallet_id": ALICE,
            "account_id": BOB,
            "to_wallet_id": None,
            "to_account_id": None,
            "currency": "EUR",
            "amount_minor": 500,
            "expires_at": None,
            "commitment": None,
            "recorded_at": WHEN,
        }
        assert chain.hold_terms_text(**placed) == (
            "hold\n019a9f00000070008000000000000002\n019a9f0000007000800000000000000a\n"
            "019a9f0000007000800000000000000b\n-\n-\nEUR\n500\n-\n-\n1795185000123456"
        )
        placed |= {
            "to_wallet_id": BOB,
            "to_account_id": ALICE,
            "expires_at": WHEN + timedelta(days=1),
            "commitment": chain.commitment(bytes(range(16)), "deposit", {"room": "7"}),
        }
        assert chain.hold_terms_text(**placed) == (
            "hold\n019a9f00000070008000000000000002\n019a9f0000007000800000000000000a\n"
            "019a9f0000007000800000000000000b\n019a9f0000007000800000000000000b\n019a9f0000007000800000000000000a\n"
            "EUR\n500\n1795271400123456\na8c4588489d2db823d08375fac1622d823684dd1bfd0cea309f43b581774e3de\n"
            "1795185000123456"
        )
        assert chain.hold_terms_leaf(**placed) == chain.leaf(chain.hold_terms_text(**placed))
        assert (
            chain.hold_terms_leaf(**placed).hex() == "ad6db88647707921b699f7dd2f2baacab2a3d9f5df4bf9856f66ee1c6147039c"
        )

    @given(
        sequence=st.integers(1, 2**63 - 1),
        id=UUIDS,
        kind=st.sampled_from(["transfer", "top_up"]),
        reverses=st.none() | UUIDS,
        hold_id=st.none() | UUIDS,
        effective_at=INSTANTS,
        recorded_at=INSTANTS,
        commitment=st.none() | st.binary(min_size=32, max_size=32),
        postings=st.lists(st.tuples(st.integers(1, 99), UUIDS, AMOUNTS, st.just("EUR"), AMOUNTS), max_size=4),
    )
    def test_of_an_entry_has_the_leaf_of_its_text(self, **facts):
        """The fast way to an entry's leaf and the way over its text agree, and SHA-256 over 0x00 and the text is it."""
        text = chain.entry_text(**facts)
        assert chain.entry_leaf(**facts) == chain.leaf(text) == hashlib.sha256(b"\x00" + text.encode()).digest()

    @given(entries=st.lists(ENTRIES, max_size=4))
    def test_of_an_entry_has_the_same_leaf_among_many(self, entries: list[Entry]):
        """The engine's way to the leaves of a batch agrees with that of a single entry, whatever times they share."""
        assert chain.entry_leaves(entries) == [leaf_of(entry) for entry in entries]

    @given(
        hold_id=UUIDS,
        step=st.integers(1, 99),
        account_id=UUIDS,
        to_account_id=st.none() | UUIDS,
        delta_minor=AMOUNTS,
        effective_at=INSTANTS,
        recorded_at=INSTANTS,
        held_after_minor=AMOUNTS,
        pending_after_minor=st.none() | AMOUNTS,
    )
    def test_of_a_movement_has_the_leaf_of_its_text(self, **facts):
        """A movement's leaf is SHA-256 over 0x00 and its text."""
        text = chain.movement_text(**facts)
        assert chain.movement_leaf(**facts) == hashlib.sha256(b"\x00" + text.encode()).digest()

    @given(INSTANTS, st.integers(-14 * 60, 14 * 60))
    def test_knows_instants_not_zones(self, instant: datetime, minutes: int):
        """One instant has one text, whatever zone it is expressed in, exact to the microsecond."""
        elsewhere = instant.astimezone(timezone(timedelta(minutes=minutes)))
        link = Link(1, bytes(32), bytes(32), instant, 1, bytes(32))
        assert msgspec.structs.replace(link, recorded_at=elsewhere).hash == link.hash
        assert link.text.split("\n")[4] == str(micros(instant))

    def test_needs_instants_that_everyone_agrees_on(self):
        """A naive time is refused, because nobody can say when it is."""
        with pytest.raises(TypeError):
            _ = Link(1, bytes(32), bytes(32), WHEN.replace(tzinfo=None), 1, bytes(32)).hash


class TestACommitment:
    @given(
        st.binary(min_size=16, max_size=16),
        st.none() | st.text(st.characters(codec="utf-8")),
        st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"))),
    )
    def test_is_made_of_canonical_json(self, salt: bytes, description: str | None, metadata: dict[str, str]):
        """It is SHA-256 over 0x03, the salt, and JSON as Python's own encoder spells it with sorted keys."""
        told = {"description": description, "metadata": metadata}
        canonical = json.dumps(told, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
        assert chain.commitment(salt, description, metadata) == hashlib.sha256(b"\x03" + salt + canonical).digest()

    def test_depends_on_the_salt(self):
        """Two entries with the same text have nothing in common to be guessed by."""
        assert chain.commitment(bytes(16), "rent", {}) != chain.commitment(bytes([1]) * 16, "rent", {})

    def test_knows_no_order_of_keys(self):
        """A database may return metadata in any order."""
        one, other = {"a": "1", "b": "2"}, {"b": "2", "a": "1"}
        assert chain.commitment(bytes(16), None, one) == chain.commitment(bytes(16), None, other)


class TestALink:
    def test_has_one_text_and_hash(self):
        """A link's text is fixed to the byte, and its hash is SHA-256 over 0x02 and the text."""
        link = Link(number=3, previous=b"\x11" * 32, skip=b"\x22" * 32, recorded_at=WHEN, count=5, root=b"\x33" * 32)
        assert link.text == f"link\n3\n{'11' * 32}\n{'22' * 32}\n1795185000123456\n5\n{'33' * 32}"
        assert link.hash == hashlib.sha256(b"\x02" + link.text.encode()).digest()

    @pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 8, 64, 65, 300])
    def test_names_the_one_before_and_one_further_back(self, length: int):
        """Each link that a head adds has the hashes of the link before and of the one skipped to, zeros for link 0."""
        head, hashes = chain.START, [bytes(32)]
        for number in range(1, length + 1):
            head, link = head.extend(some_leaves(1), WHEN)
            assert (link.number, link.previous, link.skip) == (number, hashes[-1], hashes[skipped(number)])
            hashes.append(link.hash)
        assert (head.number, head.hash) == (length, hashes[-1])

    def test_skips_as_is_written_down(self):
        """The first skips, worked out by hand."""
        assert [skipped(number) for number in range(1, 16)] == [0, 1, 0, 3, 4, 3, 0, 7, 8, 7, 10, 11, 10, 7, 0]

    @pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 100, 255, 256, 1000])
    def test_needs_a_short_head(self, length: int):
        """What a head keeps for the next link grows by no more than one hash with each doubling of the chain."""
        head, _ = build([1] * length)
        assert len(head.skips) <= 32 * length.bit_length()

    def test_follows_from_the_one_before(self):
        """A chain that is stored is followed link by link to the head that built it, with everything to go on."""
        head, stored = build([1, 3, 2, 1, 1, 4, 1, 9])
        followed = chain.START
        for number in range(1, 9):
            followed = followed.follow(stored[number])
        assert followed == head

    @pytest.mark.parametrize(
        ("change", "fact"),
        [
            ({"number": 7}, "number"),
            ({"number": 4}, "number"),
            ({"hash": b"\x01" * 32}, "hash"),
            ({"recorded_at": WHEN}, "hash"),
            ({"leaves": b""}, "leaves"),
            ({"leaves": b"\x01" * 33}, "leaves"),
            ({"leaves": b"\x01" * 64}, "hash"),
        ],
    )
    def test_is_refused_where_it_does_not_follow(self, change: dict[str, object], fact: str):
        """A stored link that is changed in any of its facts isn't followed."""
        _, stored = build([1, 3, 2, 1, 1, 4])
        head = chain.START
        for number in range(1, 5):
            head = head.follow(stored[number])
        with pytest.raises(BrokenLinkError) as caught:
            head.follow(msgspec.structs.replace(stored[5], **change))
        assert caught.value.fact == fact


class TestAProof:
    @given(st.data())
    def test_leads_from_every_record_to_every_later_head(self, data: st.DataObject):
        """Whichever record of whichever link, the proof made of a few links is accepted."""
        counts = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=60))
        head, stored = build(counts)
        number = data.draw(st.integers(1, len(counts)))
        index = data.draw(st.integers(0, counts[number - 1] - 1))
        verify_inclusion(chain.leaf(f"{number}-{index}"), prove(head, number, index, stored), head)
        verify_inclusion(f"{number}-{index}", prove(head, number, index, stored), head)

    @given(st.data())
    def test_shows_no_other_record(self, data: st.DataObject):
        """A record that isn't in the ledger, or is elsewhere in it, isn't proven."""
        counts = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=30))
        head, stored = build(counts)
        number = data.draw(st.integers(1, len(counts)))
        proof = prove(head, number, 0, stored)
        with pytest.raises(InvalidProofError) as caught:
            verify_inclusion(f"{number}-{counts[number - 1]}", proof, head)
        assert (caught.value.fact, caught.value.number) == ("path", number)

    @given(st.data())
    def test_breaks_with_any_of_its_facts(self, data: st.DataObject):
        """Change one fact of one link, or leave a link out, and the proof isn't accepted."""
        counts = data.draw(st.lists(st.integers(1, 5), min_size=2, max_size=40))
        head, stored = build(counts)
        number = data.draw(st.integers(1, len(counts)))
        proof = prove(head, number, 0, stored)
        place = data.draw(st.integers(0, len(proof.links) - 1))
        link = proof.links[place]
        change: dict[str, Any] = data.draw(
            st.sampled_from(
                [
                    {"number": link.number + 1},
                    {"previous": b"\x01" * 32},
                    {"skip": b"\x01" * 32},
                    {"recorded_at": link.recorded_at + timedelta(microseconds=1)},
                    {"count": link.count + 1},
                    {"root": b"\x01" * 32},
                ]
            )
        )
        changed = (*proof.links[:place], msgspec.structs.replace(link, **change), *proof.links[place + 1 :])
        shorter = (*proof.links[:place], *proof.links[place + 1 :])
        for way in (changed, shorter, ()):
            with pytest.raises(InvalidProofError):
                verify_inclusion(f"{number}-0", InclusionProof(proof.index, proof.path, way), head)

    def test_needs_the_head_that_it_was_made_for(self):
        """A proof against one ledger's head shows nothing against another's."""
        head, stored = build([1, 2, 3])
        other, _ = build([1, 2, 4])
        with pytest.raises(InvalidProofError) as caught:
            verify_inclusion("2-0", prove(head, 2, 0, stored), other)
        assert (caught.value.fact, caught.value.number) == ("links", 3)

    def test_is_short(self):
        """From any head up to 700 back to any link, no more than three steps for each doubling."""
        for head in (*range(1, 260), 511, 512, 700):
            for number in range(1, head + 1):
                steps = len(links._way(head, number)) - 1
                assert steps <= 3 * math.log2(head + 1)

    @given(st.integers(1, 10**12), st.data())
    def test_is_short_in_long_chains_too(self, head: int, data: st.DataObject):
        """In chains far longer than can be built here, the way is as short and needs at most three links a step."""
        number = data.draw(st.integers(1, head))
        way = links._way(head, number)
        assert (way[0], way[-1]) == (head, number)
        assert len(way) - 1 <= 3 * math.log2(head + 1)
        assert len(links_for_proof(head, number)) <= 3 * len(way)

    @pytest.mark.parametrize(("head", "number"), [(3, 4), (3, 0), (0, 0)])
    def test_is_not_made_of_links_that_are_not_there(self, head: int, number: int):
        """A link after the head, and link 0, which holds nothing, can't be led to."""
        with pytest.raises(ValueError, match="isn't before"):
            links_for_proof(head, number)
