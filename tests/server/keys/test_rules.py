"""The envelope: what is sealed opens where it was put, under its key, and nowhere else."""

import json
from typing import Any
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from billfold_server.keys import rules
from billfold_server.keys.rules import DOMAINS, Domain, Place, SealBroken
from tests.shared_files import shared_path

NONCE = bytes(12)
KEYS = (b"k" * 32, b"l" * 32)

uuids = st.uuids()
names = st.text(max_size=12)
places = st.builds(Place, table=names, row=names, column=names)


class Where(msgspec.Struct, frozen=True):
    """Everything to which a record is bound."""

    key: bytes
    tenant_id: UUID
    domain: Domain
    place: Place
    key_id: UUID

    def seal(self, plain: bytes) -> bytes:
        """Return a value sealed here."""
        return rules.seal_record(AESGCM(self.key), self.key_id, self._bound(), plain, nonce=NONCE)

    def open(self, sealed: bytes) -> bytes:
        """Return what was sealed here."""
        return rules.open_record(AESGCM(self.key), self._bound(), sealed)

    def _bound(self) -> bytes:
        return rules.bound_record(self.tenant_id, self.domain, self.place, self.key_id)


somewhere = st.builds(
    Where,
    key=st.sampled_from(KEYS),
    tenant_id=uuids,
    domain=st.sampled_from(DOMAINS),
    place=places,
    key_id=uuids,
)


class TestARecord:
    @given(where=somewhere, plain=st.binary(max_size=200))
    def test_opens_where_it_was_sealed(self, where: Where, plain: bytes) -> None:
        """It comes back whole, names its key, and is longer by what is promised."""
        sealed = where.seal(plain)
        assert where.open(sealed) == plain
        assert rules.key_id_of(sealed) == where.key_id
        assert len(sealed) == len(plain) + rules.OVERHEAD_BYTES

    @given(where=somewhere, other=somewhere, change=st.sets(st.sampled_from(Where.__struct_fields__), min_size=1))
    def test_opens_nowhere_else(self, where: Where, other: Where, change: set[str]) -> None:
        """Another key, tenant, domain, place or key id, or any of them together: refused."""
        elsewhere = msgspec.structs.replace(where, **{name: getattr(other, name) for name in change})
        if elsewhere == where:
            return
        with pytest.raises(SealBroken):
            elsewhere.open(where.seal(b"4111 1111 1111 1111"))

    @given(where=somewhere, parts=st.permutations(["a", "b", "c"]))
    def test_is_bound_to_each_part_of_its_place_by_itself(self, where: Where, parts: list[str]) -> None:
        """Table, row and column can't be exchanged, nor can a letter move from one to the next."""
        first = msgspec.structs.replace(where, place=Place("a", "b", "c"))
        sealed = first.seal(b"x")
        shifted = [Place("ab", "", "c"), Place("", "ab", "c"), Place("a", "bc", ""), Place("abc", "", "")]
        for place in [Place(*parts), *shifted]:
            if place != first.place:
                with pytest.raises(SealBroken):
                    msgspec.structs.replace(first, place=place).open(sealed)

    @given(where=somewhere, plain=st.binary(max_size=40), data=st.data())
    def test_is_refused_when_a_bit_of_it_changes(self, where: Where, plain: bytes, data: st.DataObject) -> None:
        """Whichever bit it is, the version's and the key id's included, and wherever it is cut."""
        sealed = where.seal(plain)
        bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        cut = sealed[: data.draw(st.integers(0, len(sealed) - 1))]
        for bad in (bytes(changed), cut, sealed + b"\0"):
            with pytest.raises(SealBroken):
                if rules.key_id_of(bad) != where.key_id:
                    raise SealBroken
                where.open(bad)

    def test_of_another_form_names_no_key(self) -> None:
        """Nothing is guessed about what a later version has written, nor about what was never sealed."""
        sealed = bytearray(Where(KEYS[0], UUID(int=1), "data", Place("t", "r", "c"), UUID(int=2)).seal(b"x"))
        for version in (0, 2, 255):
            sealed[0] = version
            with pytest.raises(SealBroken):
                rules.key_id_of(bytes(sealed))
        for other in (b"", b"\x01", bytes(44), b"4111111111111111"):
            with pytest.raises(SealBroken):
                rules.key_id_of(other)


class TestAWrappedKey:
    @given(
        first=st.tuples(uuids, st.sampled_from(DOMAINS), uuids, uuids, uuids),
        second=st.tuples(uuids, st.sampled_from(DOMAINS), uuids, uuids, uuids),
        change=st.sets(st.integers(0, 4), min_size=1),
    )
    def test_opens_in_its_own_row_alone(self, first: Any, second: Any, change: set[int]) -> None:
        """A subject's key in another tenant's, domain's, epoch's, subject's or key's row is refused."""
        mixed = tuple(second[at] if at in change else first[at] for at in range(5))
        wrapped = rules.seal(KEYS[0], b"s" * 32, rules.bound_subject_key(*first), nonce=NONCE)
        assert rules.unseal(KEYS[0], wrapped, rules.bound_subject_key(*first)) == b"s" * 32
        if mixed != first:
            with pytest.raises(SealBroken):
                rules.unseal(KEYS[0], wrapped, rules.bound_subject_key(*mixed))

    def test_is_no_other_kind_of_key(self) -> None:
        """Keys of epochs, subjects and purposes, and records, are told apart though all ids agree."""
        same = UUID(int=7)
        bounds = {
            rules.bound_epoch(same, "data", same),
            rules.bound_subject_key(same, "data", same, same, same),
            rules.bound_purpose_key(same, "data", same, purpose="p", version=1, key_id=same),
            rules.bound_purpose_key(same, "data", same, purpose="p", version=2, key_id=same),
            rules.bound_record(same, "data", Place("", "", ""), same),
        }
        assert len(bounds) == 5


@given(first=st.lists(st.binary(max_size=6), max_size=5), second=st.lists(st.binary(max_size=6), max_size=5))
def test_lists_of_parts_are_told_apart(first: list[bytes], second: list[bytes]) -> None:
    """Two lists have the same associated data only if they are the same list."""
    assert (rules.bound(*first) == rules.bound(*second)) == (first == second)


class TestSealing:
    def test_agrees_with_the_vectors_of_wycheproof(self) -> None:
        """Of AES-256-GCM with nonces of 96 bits, what is valid is made alike and opens, and all else is refused."""
        found = json.loads(shared_path("vectors", "wycheproof", "aes_gcm_test.json").read_text())
        seen = {"valid": 0, "invalid": 0}
        for group in found["testGroups"]:
            if (group["keySize"], group["ivSize"], group["tagSize"]) != (256, 96, 128):
                continue
            for test in group["tests"]:
                key, nonce, bound_to, plain, text, tag = (
                    bytes.fromhex(test[name]) for name in ("key", "iv", "aad", "msg", "ct", "tag")
                )
                record = b"\x01" + bytes(16) + nonce + text + tag
                seen[test["result"]] += 1
                if test["result"] == "valid":
                    assert rules.seal(key, plain, bound_to, nonce=nonce) == nonce + text + tag
                    assert rules.unseal(key, nonce + text + tag, bound_to) == plain
                    made = rules.seal_record(AESGCM(key), UUID(int=0), bound_to, plain, nonce=nonce)
                    assert made == record
                    assert rules.open_record(AESGCM(key), bound_to, record) == plain
                else:
                    with pytest.raises(SealBroken):
                        rules.unseal(key, nonce + text + tag, bound_to)
                    with pytest.raises(SealBroken):
                        rules.open_record(AESGCM(key), bound_to, record)
        assert seen == {"valid": 39, "invalid": 27}
