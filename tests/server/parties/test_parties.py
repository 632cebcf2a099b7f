"""Parties against PostgreSQL."""

import asyncio
import functools
from uuid import UUID

import msgspec
import pytest

from billfold import errors, ids
from billfold.contract.parties import CreateParty, Party, PartyKind, PartyRole, UpdateParty
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.db.outbox import list_events
from billfold_server.http.etags import check_if_match, etag
from billfold_server.parties import service
from tests.callers import CALLER
from tests.tenants import Tenancy

ADA = CreateParty(
    kind=PartyKind.PERSON,
    name="Ada Lovelace",
    external_id="cust-1815",
    email="Ada.L@analytical.example",
    metadata={"tier": "gold"},
)


def any_version(_: int) -> None:
    """Accept whatever version is there."""


async def create(tenancy: Tenancy, body: CreateParty) -> Party:
    """Create a party."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        return await service.create_party(tx, CALLER, body)


async def named(tenancy: Tenancy, *names: str) -> list[Party]:
    """Create people by their names."""
    return [await create(tenancy, CreateParty(kind=PartyKind.PERSON, name=name)) for name in names]


async def get(tenancy: Tenancy, party_id: UUID) -> Party:
    """Read a party."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        return await service.get_party(tx, party_id)


async def update(tenancy: Tenancy, party: Party, body: UpdateParty, *, if_match: str | None = None) -> Party:
    """Change a party."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        return await service.update_party(
            tx, CALLER, uuid_of(party), body, check_version=functools.partial(check_if_match, if_match)
        )


async def found(tenancy: Tenancy, **filters: object) -> list[str]:
    """Return the names of the parties that are listed."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        return [party.name for party in await service.list_parties(tx, **filters)]  # type: ignore[arg-type]


async def told(tenancy: Tenancy) -> tuple[list[tuple[str, dict[str, object]]], list[tuple[str, dict[str, object]]]]:
    """Return type and data of all events, and action and facts of all audit records, in order."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        events = await list_events(tx)
        records = await audit.list_records(tx)
    return [(one.type, one.data) for one in events], [(one.action, one.facts) for one in reversed(records)]


def uuid_of(party: Party) -> UUID:
    """Return a party's id as the database has it."""
    return ids.decode(Prefix.PARTY, party.id)


class TestAParty:
    async def test_is_read_as_it_was_created(self, tenancy: Tenancy):
        """Nothing is lost or changed on the way."""
        created = await create(tenancy, ADA)
        assert await get(tenancy, uuid_of(created)) == created
        assert (created.name, created.email, created.external_id) == (ADA.name, ADA.email, ADA.external_id)
        assert (created.metadata, created.roles, created.version) == ({"tier": "gold"}, [PartyRole.CUSTOMER], 1)
        assert created.created_at == created.updated_at

    async def test_has_each_role_once(self, tenancy: Tenancy):
        """Roles that are given twice count once."""
        both = [PartyRole.MERCHANT, PartyRole.CUSTOMER]
        created = await create(tenancy, msgspec.structs.replace(ADA, roles=[*both, PartyRole.MERCHANT][:2]))
        assert created.roles == [PartyRole.CUSTOMER, PartyRole.MERCHANT]

    async def test_that_is_not_there_is_not_found(self, tenancy: Tenancy):
        """Another id finds nothing."""
        with pytest.raises(errors.NotFound):
            await get(tenancy, ids.uuid7())

    async def test_belongs_to_its_tenant(self, tenancy: Tenancy):
        """Another tenant neither sees it nor is kept from using its external id."""
        created = await create(tenancy, ADA)
        other = msgspec.structs.replace(tenancy, tenant=await tenancy.add("other"))
        with pytest.raises(errors.NotFound):
            await get(other, uuid_of(created))
        assert (await create(other, ADA)).external_id == ADA.external_id


class TestAnExternalId:
    async def test_is_unique_when_created(self, tenancy: Tenancy):
        """A second party with the same one is refused, and the param says which field is to blame."""
        await create(tenancy, ADA)
        with pytest.raises(errors.ExternalIdTaken) as caught:
            await create(tenancy, ADA)
        assert caught.value.param == "external_id"

    async def test_is_unique_when_changed(self, tenancy: Tenancy):
        """A party can't take another one's, and stays as it was."""
        await create(tenancy, ADA)
        (other,) = await named(tenancy, "Charles")
        with pytest.raises(errors.ExternalIdTaken):
            await update(tenancy, other, UpdateParty(external_id=ADA.external_id))
        assert await get(tenancy, uuid_of(other)) == other

    async def test_is_given_to_one_of_many_at_once(self, tenancy: Tenancy):
        """Of many requests at the same time one gets it."""
        outcomes = await asyncio.gather(*(create(tenancy, ADA) for _ in range(20)), return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ExternalIdTaken"] * 19 + ["Party"]


class TestAChange:
    async def test_keeps_what_is_absent(self, tenancy: Tenancy):
        """Only the fields that are given change, and the version counts up."""
        created = await create(tenancy, ADA)
        changed = await update(tenancy, created, UpdateParty(name="Ada King"))
        assert changed == msgspec.structs.replace(created, name="Ada King", version=2, updated_at=changed.updated_at)
        assert changed.updated_at > created.updated_at
        assert await get(tenancy, uuid_of(created)) == changed

    async def test_clears_what_is_null(self, tenancy: Tenancy):
        """Null takes away what may be empty."""
        created = await create(tenancy, ADA)
        changed = await update(tenancy, created, UpdateParty(email=None, external_id=None, metadata={}))
        assert (changed.email, changed.external_id, changed.metadata) == (None, None, {})

    async def test_that_changes_nothing_leaves_no_trace(self, tenancy: Tenancy):
        """Same values: same version, no event, no audit record."""
        created = await create(tenancy, ADA)
        same = UpdateParty(name=ADA.name, roles=[PartyRole.CUSTOMER, PartyRole.CUSTOMER], metadata=ADA.metadata)
        assert await update(tenancy, created, same) == created
        events, records = await told(tenancy)
        assert (len(events), len(records)) == (1, 1)

    async def test_heeds_the_version_that_was_read(self, tenancy: Tenancy):
        """A change on the basis of an older version is refused."""
        created = await create(tenancy, ADA)
        await update(tenancy, created, UpdateParty(name="Ada King"), if_match=etag(1))
        with pytest.raises(errors.PreconditionFailed):
            await update(tenancy, created, UpdateParty(name="Ada Byron"), if_match=etag(1))
        assert (await get(tenancy, uuid_of(created))).name == "Ada King"

    async def test_is_made_by_one_of_many_with_the_same_version(self, tenancy: Tenancy):
        """Of many changes of one version at the same time one goes through."""
        created = await create(tenancy, ADA)
        outcomes = await asyncio.gather(
            *(update(tenancy, created, UpdateParty(name=f"Ada {n}"), if_match=etag(1)) for n in range(10)),
            return_exceptions=True,
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Party"] + ["PreconditionFailed"] * 9

    async def test_of_what_is_not_there_is_refused(self, tenancy: Tenancy):
        """There is nothing to change under another id."""
        created = await create(tenancy, ADA)
        stranger = msgspec.structs.replace(created, id=ids.new(Prefix.PARTY))
        with pytest.raises(errors.NotFound):
            await update(tenancy, stranger, UpdateParty(name="Nobody"))


class TestWhatIsTold:
    async def test_holds_no_personal_text(self, tenancy: Tenancy):
        """Events and audit name the fields that changed, not what is in them."""
        created = await create(tenancy, ADA)
        await update(tenancy, created, UpdateParty(email="countess@lovelace.example", name="Ada King"))
        events, records = await told(tenancy)
        common = {"id": created.id, "kind": "person", "roles": ["customer"]}
        given = ["email", "external_id", "kind", "metadata", "name", "roles"]
        assert events == [
            ("party.created", {**common, "version": 1, "changed": given}),
            ("party.updated", {**common, "version": 2, "changed": ["email", "name"]}),
        ]
        assert records == [
            ("party.created", {"changed": given}),
            ("party.updated", {"changed": ["email", "name"]}),
        ]


class TestTheList:
    async def test_shows_the_newest_first_page_by_page(self, tenancy: Tenancy):
        """Pages by id meet every party once."""
        parties = await named(tenancy, *"abcdefg")
        seen: list[str] = []
        before = None
        while True:
            async with tenancy.database.tx(tenancy.tenant) as tx:
                page = await service.list_parties(tx, before=before, limit=3)
            if not page:
                break
            seen += [party.id for party in page]
            before = uuid_of(page[-1])
        assert seen == [party.id for party in reversed(parties)]

    async def test_narrows_by_all_conditions_together(self, tenancy: Tenancy):
        """External id, kind and words are all met by what is listed."""
        await create(tenancy, ADA)
        await create(tenancy, CreateParty(kind=PartyKind.COMPANY, name="Ada Bakery", external_id="c2"))
        assert await found(tenancy, external_id="c2") == ["Ada Bakery"]
        assert await found(tenancy, kind=PartyKind.PERSON) == ["Ada Lovelace"]
        assert await found(tenancy, q="ada") == ["Ada Bakery", "Ada Lovelace"]
        assert await found(tenancy, q="ada", kind=PartyKind.COMPANY) == ["Ada Bakery"]
        assert await found(tenancy, q="ada", external_id="cust-1815", kind=PartyKind.COMPANY) == []

    @pytest.mark.parametrize(
        "q", ["ada", "LOVE", "love ada", "ada.l@analytical.example", "cust", "1815", "analytical", "  lovelace!"]
    )
    async def test_finds_by_beginnings_of_words(self, tenancy: Tenancy, q: str):
        """Each word asked for begins a word of name, mail address or external id."""
        await create(tenancy, ADA)
        assert await found(tenancy, q=q) == ["Ada Lovelace"]

    @pytest.mark.parametrize("q", ["ovelace", "ada byron", "!!!", "'", "a:* | b", "gold", "\\"])
    async def test_finds_nothing_else(self, tenancy: Tenancy, q: str):
        """Neither the middle of a word, nor only some of the words, nor what looks like a query language."""
        await create(tenancy, ADA)
        assert await found(tenancy, q=q) == []

    async def test_follows_a_change(self, tenancy: Tenancy):
        """A party is found by its new name and not by the old one."""
        created = await create(tenancy, ADA)
        await update(tenancy, created, UpdateParty(name="Augusta King", email=None))
        assert await found(tenancy, q="augusta") == ["Augusta King"]
        assert await found(tenancy, q="lovelace") == []

    async def test_uses_the_search_index(self, tenancy: Tenancy):
        """The query's plan can read the index, so a search doesn't grow with the number of parties."""
        async with tenancy.database.tx(tenancy.tenant) as tx:
            await tx.execute("SET LOCAL enable_seqscan = off")
            rows = await tx.fetch(
                "EXPLAIN SELECT id FROM parties WHERE array_to_tsvector(search_terms) @@ $1::text::tsquery", "'ada':*"
            )
        assert "parties_search" in "\n".join(row[0] for row in rows)
