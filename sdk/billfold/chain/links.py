"""Leaves, links, heads and proofs: the hashes of the chain (see ``billfold.chain``). Everything here is pure."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final, Self
from uuid import UUID

import msgspec

from billfold._remaking import Remade

__all__ = [
    "HASH_BYTES",
    "NOTHING",
    "START",
    "BrokenLinkError",
    "Head",
    "InclusionProof",
    "InvalidProofError",
    "Link",
    "StoredLink",
    "commitment",
    "entry_leaf",
    "entry_text",
    "inclusion_path",
    "inclusion_proof",
    "leaf",
    "links_for_proof",
    "movement_leaf",
    "movement_text",
    "root_of_path",
    "skipped",
    "tree_root",
    "verify_inclusion",
]

HASH_BYTES: Final = 32
NOTHING: Final = bytes(HASH_BYTES)
"""The hash of link 0, before which there was nothing."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# One byte before each hashed text says what it is, so that none can be passed off as another (RFC 9162, section 2.1.1).
_LEAF: Final = "\x00"
_NODE: Final = b"\x01"
_LINK: Final = "\x02"
_COMMITMENT: Final = b"\x03"
# Looked up once: these are called hundreds of thousands of times a second.
_sha256 = hashlib.sha256
_encode_json = msgspec.json.Encoder(order="sorted").encode


class BrokenLinkError(Remade, ValueError):
    """A stored link doesn't follow from the one before.

    Attributes:
        number: The link's number.
        fact: Which of its facts is wrong: ``number``, ``leaves``, ``recorded_at`` or ``hash``.
    """

    def __init__(self, number: int, fact: str) -> None:
        super().__init__(f"link {number} doesn't follow from the one before: its {fact} is wrong")
        self.number = number
        self.fact = fact


class InvalidProofError(Remade, ValueError):
    """A proof doesn't lead from the record to the head.

    Attributes:
        fact: What it breaks at: ``links`` (they don't lead to the head) or ``path`` (it doesn't lead to the link);
            ``billfold.proofs`` looks at more.
        number: The link at which it breaks.
    """

    def __init__(self, fact: str, number: int, why: str | None = None) -> None:
        super().__init__(f"the proof's {fact} is wrong at link {number}{f': {why}' if why else ''}")
        self.fact = fact
        self.number = number


# Records


def commitment(salt: bytes, description: str | None, metadata: Mapping[str, str]) -> bytes:
    """Commit to what people wrote about a journal entry, without telling it.

    SHA-256 over 0x03, the salt and the canonical JSON object of ``description`` and ``metadata``: keys sorted, no
    blanks, UTF-8 with only those characters escaped that JSON requires. Where there is neither description nor metadata
    there is nothing to commit to, and the record says ``-``.

    Args:
        salt: 16 random bytes of this entry's own, erased together with the text.
        description: The entry's description.
        metadata: The entry's metadata.
    """
    # Description and metadata are encoded by themselves: a dictionary for each call and its sorted keys cost a fifth.
    said, other = _encode_json(description), _encode_json(metadata)
    text = b"".join((_COMMITMENT, salt, b'{"description":', said, b',"metadata":', other, b"}"))
    return _sha256(text).digest()


def entry_text(
    *,
    sequence: int,
    id: UUID,
    kind: str,
    reverses: UUID | None,
    hold_id: UUID | None,
    effective_at: datetime,
    recorded_at: datetime,
    commitment: bytes | None,
    postings: Iterable[tuple[int, UUID, int, str, int]],
) -> str:
    """Return the text of a journal entry's record: one fact a line, then one line for each posting.

    Absent facts are ``-``, ids 32 hexadecimal digits, instants microseconds since 1970 in UTC.

    Args:
        sequence: The entry's place in the ledger, from 1 on.
        id: The entry's id.
        kind: What made it (``transfer``, ``capture``, …).
        reverses: The entry that this one reverses.
        hold_id: The hold that it captures.
        effective_at: When it happened.
        recorded_at: When it was written.
        commitment: What ``commitment`` returned for its text.
        postings: ``(line, account id, amount in minor units, currency, the account's posted balance afterwards)``, in
            order of line.
    """
    effective = effective_at - _EPOCH
    recorded = recorded_at - _EPOCH
    text = (
        f"entry\n{sequence}\n{id.hex}\n{kind}\n{'-' if reverses is None else reverses.hex}\n"
        f"{'-' if hold_id is None else hold_id.hex}\n{effective // _MICROSECOND}\n{recorded // _MICROSECOND}\n"
        f"{'-' if commitment is None else commitment.hex()}"
    )
    for line, account_id, amount_minor, currency, posted_after_minor in postings:
        text += f"\n{line} {account_id.hex} {amount_minor} {currency} {posted_after_minor}"
    return text


def entry_leaf(
    *,
    sequence: int,
    id: UUID,
    kind: str,
    reverses: UUID | None,
    hold_id: UUID | None,
    effective_at: datetime,
    recorded_at: datetime,
    commitment: bytes | None,
    postings: Iterable[tuple[int, UUID, int, str, int]],
) -> bytes:
    """Return the leaf of a journal entry: the hash of what ``entry_text`` says; ``entry_leaves`` returns many."""
    return leaf(
        entry_text(
            sequence=sequence,
            id=id,
            kind=kind,
            reverses=reverses,
            hold_id=hold_id,
            effective_at=effective_at,
            recorded_at=recorded_at,
            commitment=commitment,
            postings=postings,
        )
    )


def movement_text(
    *,
    hold_id: UUID,
    step: int,
    account_id: UUID,
    to_account_id: UUID | None,
    delta_minor: int,
    effective_at: datetime,
    recorded_at: datetime,
    held_after_minor: int,
    pending_after_minor: int | None,
) -> str:
    """Return the text of the record of a hold's movement (placed, captured, released, expired), one fact a line.

    Args:
        hold_id: The hold.
        step: Which of the hold's movements this is.
        account_id: The account whose held balance moves.
        to_account_id: The account whose pending balance moves with it, where the hold names one.
        delta_minor: By how much, in minor units.
        effective_at: When it happened.
        recorded_at: When it was written.
        held_after_minor: The held balance afterwards.
        pending_after_minor: The other account's pending balance afterwards.
    """
    return (
        f"movement\n{hold_id.hex}\n{step}\n{account_id.hex}\n{'-' if to_account_id is None else to_account_id.hex}\n"
        f"{delta_minor}\n{(effective_at - _EPOCH) // _MICROSECOND}\n{(recorded_at - _EPOCH) // _MICROSECOND}\n"
        f"{held_after_minor}\n{'-' if pending_after_minor is None else pending_after_minor}"
    )


def movement_leaf(
    *,
    hold_id: UUID,
    step: int,
    account_id: UUID,
    to_account_id: UUID | None,
    delta_minor: int,
    effective_at: datetime,
    recorded_at: datetime,
    held_after_minor: int,
    pending_after_minor: int | None,
) -> bytes:
    """Return the leaf of a hold's movement: the hash of what ``movement_text`` says."""
    return leaf(
        movement_text(
            hold_id=hold_id,
            step=step,
            account_id=account_id,
            to_account_id=to_account_id,
            delta_minor=delta_minor,
            effective_at=effective_at,
            recorded_at=recorded_at,
            held_after_minor=held_after_minor,
            pending_after_minor=pending_after_minor,
        )
    )


def leaf(text: str) -> bytes:
    """Return the leaf of a record: the hash of 0x00 and its text in UTF-8."""
    return _sha256(f"{_LEAF}{text}".encode()).digest()


# The tree of one link


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """Return the Merkle tree hash over leaves (RFC 9162, section 2.1.1).

    Args:
        leaves: The leaf hashes in order, at least one.
    """
    level = _checked(leaves)
    while len(level) > 1:
        level = _level_above(level)
    return level[0]


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the hashes that lead from one leaf to the tree's root, lowest first (RFC 9162, section 2.1.3.1).

    Args:
        leaves: The leaf hashes in order.
        index: The place of the leaf among them, from 0 on.
    """
    level = _checked(leaves)
    if not 0 <= index < len(level):
        raise IndexError(index)
    path = []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        level = _level_above(level)
        index >>= 1
    return path


def root_of_path(leaf: bytes, index: int, count: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root that a path leads to (RFC 9162, section 2.1.3.2); None where the path doesn't fit such a tree.

    Args:
        leaf: The leaf's hash.
        index: Its place, from 0 on.
        count: How many leaves the tree has.
        path: What ``inclusion_path`` returned.
    """
    if not 0 <= index < count:
        return None
    last = count - 1
    value = leaf
    steps = iter(path)
    while last:
        # A node that is last and alone on its level has no sibling there: it is taken up as it is.
        if index & 1 or index < last:
            sibling = next(steps, None)
            if sibling is None or len(sibling) != HASH_BYTES:
                return None
            value = _sha256(_NODE + sibling + value if index & 1 else _NODE + value + sibling).digest()
        index >>= 1
        last >>= 1
    return None if next(steps, None) is not None else value


def _checked(leaves: Sequence[bytes]) -> list[bytes]:
    if not leaves:
        raise ValueError("a tree has at least one leaf")
    return list(leaves)


def _level_above(level: list[bytes]) -> list[bytes]:
    """Hash nodes by twos; the last of an odd number goes up as it is, which gives the same tree as RFC 9162's split."""
    above = [_sha256(_NODE + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
    if len(level) & 1:
        above.append(level[-1])
    return above


# Links and heads


def skipped(number: int) -> int:
    """Return the number of the link whose hash a link names besides that of the one before.

    That is ``number`` without the smallest of the terms ``2**k - 1`` that it is the sum of, each taken as large as it
    goes: 1 names 0; 2, 1; 3, 0; 4, 3; 5, 4; 6, 3; 7, 0.

    Args:
        number: A link's number, from 1 on.
    """
    rest = number
    while True:
        term = (1 << ((rest + 1).bit_length() - 1)) - 1
        if term == rest:
            return number - term
        rest -= term


class Link(msgspec.Struct, frozen=True):
    """One link: what its hash is made of.

    Attributes:
        number: From 1 on, without gaps.
        previous: The hash of the link before.
        skip: The hash of the link ``skipped(number)``.
        recorded_at: When the last of its records was written.
        count: How many records it holds.
        root: The root of the tree over their leaves.
        word: With what its text begins: no link of one chain can pass as one of another.
    """

    word: ClassVar[str] = "link"
    number: int
    previous: bytes
    skip: bytes
    recorded_at: datetime
    count: int
    root: bytes

    @property
    def text(self) -> str:
        """What is hashed, one fact a line."""
        recorded = (self.recorded_at - _EPOCH) // _MICROSECOND
        hashes = f"{self.previous.hex()}\n{self.skip.hex()}"
        return f"{self.word}\n{self.number}\n{hashes}\n{recorded}\n{self.count}\n{self.root.hex()}"

    @property
    def hash(self) -> bytes:
        """The link's hash: over 0x02 and its text."""
        return _sha256(f"{_LINK}{self.text}".encode()).digest()


class StoredLink(msgspec.Struct, frozen=True):
    """A link as a ledger keeps it; what the other facts are follows from the links before.

    Attributes:
        number: From 1 on, without gaps.
        recorded_at: When the last of its records was written.
        leaves: The leaves of its records, 32 bytes each, in order of ``recorded_at``.
        hash: Its hash.
    """

    number: int
    recorded_at: datetime
    leaves: bytes
    hash: bytes

    def split(self) -> list[bytes]:
        """Return the leaves one by one.

        Raises:
            BrokenLinkError: There is none, or the last one is cut off.
        """
        if not self.leaves or len(self.leaves) % HASH_BYTES:
            raise BrokenLinkError(self.number, "leaves")
        return [self.leaves[at : at + HASH_BYTES] for at in range(0, len(self.leaves), HASH_BYTES)]


class Head(msgspec.Struct, frozen=True):
    """The newest link's number and hash, and what it takes to add the next one.

    Attributes:
        number: The newest link's number; 0 where there is none yet.
        hash: Its hash.
        skips: The hashes of the links ``skipped(number)``, ``skipped(skipped(number))`` and so on, end to end, without
            link 0; at most 32 bytes for each doubling of the chain.
        link_type: What the links of its chain are.
    """

    link_type: ClassVar[type[Link]] = Link
    number: int
    hash: bytes
    skips: bytes = b""

    def extend(self, leaves: Sequence[bytes], recorded_at: datetime) -> tuple[Self, Link]:
        """Return the head after one more link, and the link.

        Args:
            leaves: The leaves of the records that are committed together, in order of ``recorded_at``.
            recorded_at: When the last of them was written.
        """
        number = self.number + 1
        if skipped(number) == self.number:
            skip = self.hash
            # Link 0 has a hash that everyone knows, so it isn't kept.
            skips = self.hash + self.skips if self.number else b""
        else:
            # The two links skipped to from here lie equally far apart: the new one reaches behind both.
            skips = self.skips[HASH_BYTES:]
            skip = skips[:HASH_BYTES] or NOTHING
        link = self.link_type(
            number=number,
            previous=self.hash,
            skip=skip,
            recorded_at=recorded_at,
            count=len(leaves),
            root=tree_root(leaves),
        )
        return type(self)(number=number, hash=link.hash, skips=skips), link

    def follow(self, stored: StoredLink) -> Self:
        """Return the head after a stored link, once it is certain that it follows.

        Raises:
            BrokenLinkError: It doesn't follow from this head.
        """
        if stored.number != self.number + 1:
            raise BrokenLinkError(stored.number, "number")
        head, _ = self.extend(stored.split(), stored.recorded_at)
        if head.hash != stored.hash:
            raise BrokenLinkError(stored.number, "hash")
        return head


START: Final = Head(number=0, hash=NOTHING)
"""The head of an empty ledger."""


# Proofs


class InclusionProof(msgspec.Struct, frozen=True):
    """What leads from one record to a head.

    Attributes:
        index: The record's place among the leaves of its link, from 0 on.
        path: The hashes that lead from its leaf to the link's root, lowest first.
        links: The links that lead from the head, first, to the record's link, last. Each names the hash of the next.
    """

    index: int
    path: tuple[bytes, ...]
    links: tuple[Link, ...]


def _way(start: int, end: int) -> list[int]:
    """Return the numbers of the links that lead from one back to another, both included."""
    way = [start]
    while start > end:
        target = skipped(start)
        start = target if target >= end else start - 1
        way.append(start)
    return way


def links_for_proof(head: int, number: int) -> list[int]:
    """Return the numbers of the stored links that ``inclusion_proof`` needs, in order; link 0 is never one of them.

    Args:
        head: The head's number.
        number: The number of the record's link.
    """
    if not 0 < number <= head:
        raise ValueError("a proof leads from a link to one that isn't before it")
    way = _way(head, number)
    needed = {*way, *(one - 1 for one in way), *(skipped(one) for one in way)}
    return sorted(needed - {0})


def inclusion_proof(head: int, number: int, index: int, stored: Mapping[int, StoredLink]) -> InclusionProof:
    """Make the proof that a record is in the ledger that a head stands for.

    Args:
        head: The head's number.
        number: The number of the record's link.
        index: The record's place among its link's leaves.
        stored: The links ``links_for_proof(head, number)`` by number.
    """

    def hash_of(one: int) -> bytes:
        return stored[one].hash if one else NOTHING

    def whole(one: int) -> Link:
        leaves = stored[one].split()
        return Link(
            number=one,
            previous=hash_of(one - 1),
            skip=hash_of(skipped(one)),
            recorded_at=stored[one].recorded_at,
            count=len(leaves),
            root=tree_root(leaves),
        )

    return InclusionProof(
        index=index,
        path=tuple(inclusion_path(stored[number].split(), index)),
        links=tuple(whole(one) for one in _way(head, number)),
    )


def verify_inclusion(record: str | bytes, proof: InclusionProof, head: Head) -> None:
    """Make certain that a record is in the ledger that a head stands for.

    Args:
        record: The record's text, or its leaf.
        proof: What ``inclusion_proof`` returned, from whomever.
        head: A head that the caller trusts: kept from an earlier time, or signed. Its number and hash are looked at.

    Raises:
        InvalidProofError: The proof shows nothing of the kind.
    """
    number, expected = head.number, head.hash
    for place, link in enumerate(proof.links):
        if place:
            number, expected = link.number, _hash_named_by(proof.links[place - 1], link.number)
        if link.number != number or link.hash != expected:
            raise InvalidProofError("links", number)
    if not proof.links:
        raise InvalidProofError("links", number)
    last = proof.links[-1]
    value = leaf(record) if isinstance(record, str) else record
    if root_of_path(value, proof.index, last.count, proof.path) != last.root:
        raise InvalidProofError("path", last.number)


def _hash_named_by(link: Link, number: int) -> bytes:
    """Return the hash that a link names for an earlier one."""
    if number == link.number - 1:
        return link.previous
    if number == skipped(link.number):
        return link.skip
    raise InvalidProofError("links", number)
