"""The swap matrix: sealed values and wrapped keys exchanged over everything that they are bound to; all are refused."""

import itertools
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
import pytest_asyncio

from billfold import errors
from billfold_server.keys import rules
from billfold_server.keys.rotation import rotate
from billfold_server.keys.service import Domain, Keys, Place, SealBroken, TenantKey, Wrapped
from tests.keystores import Owner, StoreUrls, as_administrator

NewKeys = Callable[..., Keys]
DOMAINS: tuple[Domain, Domain] = ("data", "cards")
PLACES = [Place("a", "1", "x"), Place("ab", "1", "x"), Place("a", "2", "x"), Place("a", "1", "bx")]
"""Places that differ in one thing, some of which read alike where parts are only joined."""


class Cell(msgspec.Struct, frozen=True):
    """Where a value was sealed: by whose keys, of which domain and subject, and at which place."""

    owner: Owner
    domain: Domain
    subject: UUID
    place: Place


class Matrix(msgspec.Struct):
    """Values sealed in every cell."""

    keys: dict[Domain, Keys]
    sealed: dict[Cell, bytes]

    async def opens(self, cell: Cell, sealed: bytes) -> bool:
        """Tell whether a value opens in a cell."""
        try:
            (await self.keys[cell.domain].opener(cell.owner, [sealed])).open(cell.place, sealed)
        except SealBroken:
            return False
        return True


@pytest_asyncio.fixture
async def matrix(new_keys: NewKeys) -> Matrix:
    """Seal a value in each cell of two tenants, both domains, two subjects and four places."""
    keys = {domain: new_keys(domain=domain) for domain in DOMAINS}
    subjects = [uuid4(), uuid4()]
    sealed = {}
    for owner, domain, subject in itertools.product([Owner(uuid4()), Owner(uuid4())], DOMAINS, subjects):
        sealer = await keys[domain].sealer(owner, subject, seals=len(PLACES))
        for place in PLACES:
            sealed[Cell(owner, domain, subject, place)] = sealer.seal(place, b"value")
    return Matrix(keys, sealed)


class TestASealedValue:
    async def test_opens_in_its_own_cell_alone(self, matrix: Matrix) -> None:
        """Of all pairs of cells, over row, column, table, tenant and domain, only a value's own opens it."""
        for from_, to in itertools.product(matrix.sealed, repeat=2):
            # The subject isn't a matter of the place: a value names its key, whoever's it is.
            alike = (from_.owner, from_.domain, from_.place) == (to.owner, to.domain, to.place)
            assert await matrix.opens(to, matrix.sealed[from_]) is alike, (from_, to)

    async def test_opens_by_no_other_key_that_it_is_made_to_name(self, matrix: Matrix) -> None:
        """Its key's id can't be exchanged for another's, and its version for none that there isn't."""
        for from_, to in itertools.product(matrix.sealed, repeat=2):
            if from_ == to:
                continue
            spliced = matrix.sealed[from_][:1] + matrix.sealed[to][1:17] + matrix.sealed[from_][17:]
            if spliced not in {matrix.sealed[from_], matrix.sealed[to]}:
                assert not await matrix.opens(from_, spliced)
                assert not await matrix.opens(to, spliced)
        cell, value = next(iter(matrix.sealed.items()))
        assert not await matrix.opens(cell, b"\x02" + value[1:])

    async def test_opens_after_no_change_of_a_bit(self, matrix: Matrix) -> None:
        """Wherever it is changed, it doesn't open."""
        cell, value = next(iter(matrix.sealed.items()))
        for at in range(len(value)):
            changed = value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
            assert not await matrix.opens(cell, changed), at


SWAP = """
UPDATE {table} AS t SET wrapped = o.wrapped FROM {table} AS o
WHERE (t.id, o.id) IN (($1::uuid, $2::uuid), ($2::uuid, $1::uuid))
"""


class TestAWrappedKey:
    async def test_opens_in_no_other_subjects_row(
        self, matrix: Matrix, new_keys: NewKeys, key_store_urls: StoreUrls
    ) -> None:
        """Wraps exchanged between any two subjects' rows, of whatever tenant or domain, open neither's values."""
        ids: dict[tuple[UUID, Domain, UUID], tuple[UUID, Cell, bytes]] = {}
        for cell, value in matrix.sealed.items():
            ids.setdefault((cell.owner.id, cell.domain, cell.subject), (UUID(bytes=value[1:17]), cell, value))
        for (one, cell, value), (other, other_cell, other_value) in itertools.combinations(ids.values(), 2):
            await as_administrator(key_store_urls, SWAP.format(table="subject_keys"), one, other)
            for each, its in ((cell, value), (other_cell, other_value)):
                with pytest.raises(errors.KeysUnavailable):
                    await new_keys(domain=each.domain).opener(each.owner, [its])
            await as_administrator(key_store_urls, SWAP.format(table="subject_keys"), one, other)
        fresh = Matrix({domain: new_keys(domain=domain) for domain in DOMAINS}, matrix.sealed)
        assert all([await fresh.opens(cell, value) for cell, value in matrix.sealed.items()])

    async def test_opens_in_no_other_epochs_row(
        self, matrix: Matrix, new_keys: NewKeys, key_store_urls: StoreUrls
    ) -> None:
        """The same for epochs, over tenant, domain, number and version of the tenant key."""
        cells = {(cell.owner, cell.domain): (cell, value) for cell, value in matrix.sealed.items()}
        for owner, domain in cells:
            keys = matrix.keys[domain]
            await rotate(keys.store, keys.backends, owner.id, domain)
            await keys.sealer(owner, uuid4())
        owners = [owner.id for owner, _ in cells]
        rows = await as_administrator(
            key_store_urls, "SELECT id, tenant_id, domain FROM key_epochs WHERE tenant_id = ANY($1)", owners
        )
        assert len(rows) == 2 * len(cells)
        for one, other in itertools.combinations(rows, 2):
            await as_administrator(key_store_urls, SWAP.format(table="key_epochs"), one["id"], other["id"])
            for row in (one, other):
                keys = new_keys(domain=row["domain"])
                (of_epoch,) = await keys.store.fetch("SELECT * FROM key_epochs WHERE id = $1", row["id"])
                with pytest.raises(SealBroken):
                    await unwrapped(keys, of_epoch)
            await as_administrator(key_store_urls, SWAP.format(table="key_epochs"), one["id"], other["id"])
        fresh = Matrix({domain: new_keys(domain=domain) for domain in DOMAINS}, matrix.sealed)
        assert all([await fresh.opens(cell, value) for cell, value in matrix.sealed.items()])

    @pytest.mark.parametrize("column", ["tenant_id", "domain", "key_version"])
    async def test_of_an_epoch_is_bound_to_what_its_row_says(
        self, new_keys: NewKeys, owner: Owner, key_store_urls: StoreUrls, column: str
    ) -> None:
        """A row that says another tenant, domain or version than it was made for doesn't open."""
        keys, other = new_keys(), Owner(uuid4())
        for each in (owner, other):
            await keys.sealer(each)
            await new_keys(domain="cards").sealer(each)
            await rotate(keys.store, keys.backends, each.id, "data")
        (row,) = await as_administrator(
            key_store_urls,
            "SELECT * FROM key_epochs WHERE tenant_id = $1 AND domain = 'data' AND number = 1",
            owner.id,
        )
        assert await unwrapped(keys, row)
        changed = dict(row) | {"tenant_id": other.id, "domain": "cards", "key_version": 2}
        with pytest.raises(SealBroken):
            await unwrapped(keys, dict(row) | {column: changed[column]})

    @pytest.mark.parametrize("column", ["purpose", "version", "wrapped"])
    async def test_of_a_purpose_is_bound_to_what_its_row_says(
        self, new_keys: NewKeys, owner: Owner, key_store_urls: StoreUrls, column: str
    ) -> None:
        """Keys of fingerprints make no digest under another purpose, as another version, or in another's row."""
        before = [await fingerprinted(new_keys, owner, purpose) for purpose in ("names", "cards")]
        (mine, other) = await as_administrator(
            key_store_urls, "SELECT * FROM purpose_keys WHERE tenant_id = $1 ORDER BY purpose DESC", owner.id
        )
        sql = f"UPDATE purpose_keys SET {column} = $2 WHERE id = $1"  # noqa: S608 - One of three.
        changed = {"purpose": "places", "version": 2, "wrapped": other["wrapped"]}[column]
        await as_administrator(key_store_urls, sql, mine["id"], changed)
        with pytest.raises(errors.KeysUnavailable):
            await fingerprinted(new_keys, owner, "places" if column == "purpose" else "names")
        await as_administrator(key_store_urls, sql, mine["id"], mine[column])
        assert [await fingerprinted(new_keys, owner, purpose) for purpose in ("names", "cards")] == before

    async def test_of_a_subject_is_bound_to_whose_its_row_says_that_it_is(
        self, new_keys: NewKeys, owner: Owner, key_store_urls: StoreUrls
    ) -> None:
        """So nobody's keys outlast them under another one's name."""
        place = PLACES[0]
        sealed = (await new_keys().sealer(owner, uuid4())).seal(place, b"value")
        sql = "UPDATE subject_keys SET subject_id = $2 WHERE id = $1"
        await as_administrator(key_store_urls, sql, UUID(bytes=sealed[1:17]), uuid4())
        with pytest.raises(errors.KeysUnavailable):
            await new_keys().opener(owner, [sealed])


async def fingerprinted(new_keys: NewKeys, owner: Owner, purpose: str) -> Any:
    """Return the digests of a value, as a process makes them that has seen no key before."""
    return (await new_keys().fingerprinter(owner, purpose)).digests(b"value")


async def unwrapped(keys: Keys, row: Any) -> bytes:
    """Return an epoch's key as its row says that it is wrapped."""
    key, wrapped = TenantKey(row["tenant_id"], row["domain"]), Wrapped(row["key_version"], row["wrapped"])
    bound_to = rules.bound_epoch(row["tenant_id"], row["domain"], row["id"])
    return await keys.backends.named(row["backend"]).unwrap(key, wrapped, bound_to)
