"""Parties against PostgreSQL."""

import asyncio
import functools
from contextlib import AbstractAsyncContextManager
from uuid import UUID

import asyncpg
import msgspec
import pytest

from billfold import errors, ids
from billfold.contract.parties import CreateParty, Party, PartyKind, PartyRole, UpdateParty
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.db.outbox import list_events
from billfold_server.http.etags import check_if_match, etag
from billfold_server.keys.service import Keys, SealBroken, key_id_of
from billfold_server.parties import queries, rules, service
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import TenantTx
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


class Bank(msgspec.Struct):
    """A tenant, and the keys under which its parties lie."""

    tenancy: Tenancy
    keys: Keys

    @property
    def tenant(self) -> TenantRef:
        """The tenant."""
        return self.tenancy.tenant

    def tx(self) -> AbstractAsyncContextManager[TenantTx]:
        """Open the tenant's transaction."""
        return self.tenancy.database.tx(self.tenant)


@pytest.fixture
def bank(tenancy: Tenancy, tenant_keys: Keys) -> Bank:
    """Return a tenant with keys."""
    return Bank(tenancy, tenant_keys)


async def another(bank: Bank) -> Bank:
    """Return another tenant of the same deployment."""
    return Bank(msgspec.structs.replace(bank.tenancy, tenant=await bank.tenancy.add("other")), bank.keys)


async def create(bank: Bank, body: CreateParty) -> Party:
    """Create a party."""
    draft = await service.draft_party(bank.keys, bank.tenant, body)
    async with bank.tx() as tx:
        return await service.create_party(tx, CALLER, draft)


async def named(bank: Bank, *names: str) -> list[Party]:
    """Create people by their names."""
    return [await create(bank, CreateParty(kind=PartyKind.PERSON, name=name)) for name in names]


async def get(bank: Bank, party_id: UUID) -> Party:
    """Read a party."""
    async with bank.tx() as tx:
        row = await service.get_party(tx, party_id)
    (party,) = await service.open_parties(bank.keys, bank.tenant, [row])
    return party


async def update(bank: Bank, party: Party, body: UpdateParty, *, if_match: str | None = None) -> Party:
    """Change a party."""
    check = functools.partial(check_if_match, if_match)
    return await service.update_party(
        bank.tx, bank.keys, bank.tenant, uuid_of(party), body, caller=CALLER, check_version=check
    )


async def found(bank: Bank, q: str | None = None, **filters: object) -> list[str | None]:
    """Return the names of the parties that are listed."""
    search = None
    if q is not None and (search := await service.search_for(bank.keys, bank.tenant, q)) is None:
        return []
    async with bank.tx() as tx:
        rows = await service.list_parties(tx, search=search, **filters)  # type: ignore[arg-type]
    return [party.name for party in await service.open_parties(bank.keys, bank.tenant, rows)]


async def told(bank: Bank) -> tuple[list[tuple[str, dict[str, object]]], list[tuple[str, dict[str, object]]]]:
    """Return type and data of all events, and action and facts of all audit records, in order."""
    async with bank.tx() as tx:
        events = await list_events(tx)
        records = await audit.list_records(tx)
    return [(one.type, one.data) for one in events], [(one.action, one.facts) for one in reversed(records)]


def uuid_of(party: Party) -> UUID:
    """Return a party's id as the database has it."""
    return ids.decode(Prefix.PARTY, party.id)


class TestAParty:
    async def test_is_read_as_it_was_created(self, bank: Bank):
        """Nothing is lost or changed on the way."""
        created = await create(bank, ADA)
        assert await get(bank, uuid_of(created)) == created
        assert (created.name, created.email, created.external_id) == (ADA.name, ADA.email, ADA.external_id)
        assert (created.metadata, created.roles, created.version) == ({"tier": "gold"}, [PartyRole.CUSTOMER], 1)
        assert created.created_at == created.updated_at

    async def test_has_each_role_once(self, bank: Bank):
        """Roles that are given twice count once."""
        both = [PartyRole.MERCHANT, PartyRole.CUSTOMER]
        created = await create(bank, msgspec.structs.replace(ADA, roles=[*both, PartyRole.MERCHANT][:2]))
        assert created.roles == [PartyRole.CUSTOMER, PartyRole.MERCHANT]

    async def test_that_is_not_there_is_not_found(self, bank: Bank):
        """Another id finds nothing."""
        with pytest.raises(errors.NotFound):
            await get(bank, ids.uuid7())

    async def test_belongs_to_its_tenant(self, bank: Bank):
        """Another tenant neither sees it nor is kept from using its external id."""
        created = await create(bank, ADA)
        other = await another(bank)
        with pytest.raises(errors.NotFound):
            await get(other, uuid_of(created))
        assert (await create(other, ADA)).external_id == ADA.external_id


class TestAnExternalId:
    async def test_is_unique_when_created(self, bank: Bank):
        """A second party with the same one is refused, and the param says which field is to blame."""
        await create(bank, ADA)
        with pytest.raises(errors.ExternalIdTaken) as caught:
            await create(bank, ADA)
        assert caught.value.param == "external_id"

    async def test_is_unique_when_changed(self, bank: Bank):
        """A party can't take another one's, and stays as it was."""
        await create(bank, ADA)
        (other,) = await named(bank, "Charles")
        with pytest.raises(errors.ExternalIdTaken):
            await update(bank, other, UpdateParty(external_id=ADA.external_id))
        assert await get(bank, uuid_of(other)) == other

    async def test_is_given_to_one_of_many_at_once(self, bank: Bank):
        """Of many requests at the same time one gets it."""
        outcomes = await asyncio.gather(*(create(bank, ADA) for _ in range(20)), return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ExternalIdTaken"] * 19 + ["Party"]


class TestAChange:
    async def test_keeps_what_is_absent(self, bank: Bank):
        """Only the fields that are given change, and the version counts up."""
        created = await create(bank, ADA)
        changed = await update(bank, created, UpdateParty(name="Ada King"))
        assert changed == msgspec.structs.replace(created, name="Ada King", version=2, updated_at=changed.updated_at)
        assert changed.updated_at > created.updated_at
        assert await get(bank, uuid_of(created)) == changed

    async def test_clears_what_is_null(self, bank: Bank):
        """Null takes away what may be empty."""
        created = await create(bank, ADA)
        changed = await update(bank, created, UpdateParty(email=None, external_id=None, metadata={}))
        assert (changed.email, changed.external_id, changed.metadata) == (None, None, {})

    async def test_that_changes_nothing_leaves_no_trace(self, bank: Bank):
        """Same values: same version, no event, no audit record."""
        created = await create(bank, ADA)
        same = UpdateParty(name=ADA.name, roles=[PartyRole.CUSTOMER, PartyRole.CUSTOMER], metadata=ADA.metadata)
        assert await update(bank, created, same) == created
        events, records = await told(bank)
        assert (len(events), len(records)) == (1, 1)

    async def test_heeds_the_version_that_was_read(self, bank: Bank):
        """A change on the basis of an older version is refused."""
        created = await create(bank, ADA)
        await update(bank, created, UpdateParty(name="Ada King"), if_match=etag(1))
        with pytest.raises(errors.PreconditionFailed):
            await update(bank, created, UpdateParty(name="Ada Byron"), if_match=etag(1))
        assert (await get(bank, uuid_of(created))).name == "Ada King"

    async def test_is_made_by_one_of_many_with_the_same_version(self, bank: Bank):
        """Of many changes of one version at the same time one goes through."""
        created = await create(bank, ADA)
        outcomes = await asyncio.gather(
            *(update(bank, created, UpdateParty(name=f"Ada {n}"), if_match=etag(1)) for n in range(10)),
            return_exceptions=True,
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Party"] + ["PreconditionFailed"] * 9

    async def test_of_what_is_not_there_is_refused(self, bank: Bank):
        """There is nothing to change under another id."""
        created = await create(bank, ADA)
        stranger = msgspec.structs.replace(created, id=ids.new(Prefix.PARTY))
        with pytest.raises(errors.NotFound):
            await update(bank, stranger, UpdateParty(name="Nobody"))


class TestWhatIsTold:
    async def test_holds_no_personal_text(self, bank: Bank):
        """Events and audit name the fields that changed, not what is in them."""
        created = await create(bank, ADA)
        await update(bank, created, UpdateParty(email="countess@lovelace.example", name="Ada King"))
        events, records = await told(bank)
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
    async def test_shows_the_newest_first_page_by_page(self, bank: Bank):
        """Pages by id meet every party once."""
        parties = await named(bank, *"abcdefg")
        seen: list[str] = []
        before = None
        while True:
            async with bank.tx() as tx:
                page = await service.list_parties(tx, before=before, limit=3)
            if not page:
                break
            seen += [party.wire_id for party in page]
            before = page[-1].id
        assert seen == [party.id for party in reversed(parties)]

    async def test_narrows_by_all_conditions_together(self, bank: Bank):
        """External id, kind and words are all met by what is listed."""
        await create(bank, ADA)
        await create(bank, CreateParty(kind=PartyKind.COMPANY, name="Ada Bakery", external_id="c2"))
        assert await found(bank, external_id="c2") == ["Ada Bakery"]
        assert await found(bank, kind=PartyKind.PERSON) == ["Ada Lovelace"]
        assert await found(bank, q="ada") == ["Ada Bakery", "Ada Lovelace"]
        assert await found(bank, q="ada", kind=PartyKind.COMPANY) == ["Ada Bakery"]
        assert await found(bank, q="ada", external_id="cust-1815", kind=PartyKind.COMPANY) == []

    @pytest.mark.parametrize(
        "q", ["ada", "LOVE", "love ada", "ada.l@analytical.example", "cust", "1815", "analytical", "  lovelace!"]
    )
    async def test_finds_by_beginnings_of_words(self, bank: Bank, q: str):
        """Each word asked for begins a word of name, mail address or external id."""
        await create(bank, ADA)
        assert await found(bank, q=q) == ["Ada Lovelace"]

    @pytest.mark.parametrize("q", ["ovelace", "ada byron", "!!!", "'", "a:* | b", "gold", "\\"])
    async def test_finds_nothing_else(self, bank: Bank, q: str):
        """Neither the middle of a word, nor only some of the words, nor what looks like a query language."""
        await create(bank, ADA)
        assert await found(bank, q=q) == []

    async def test_follows_a_change(self, bank: Bank):
        """A party is found by its new name and not by the old one."""
        created = await create(bank, ADA)
        await update(bank, created, UpdateParty(name="Augusta King", email=None))
        assert await found(bank, q="augusta") == ["Augusta King"]
        assert await found(bank, q="lovelace") == []

    @pytest.mark.parametrize("q", ["lo", "a", "love lo"])
    async def test_takes_a_short_beginning_for_a_whole_word(self, bank: Bank, q: str):
        """Fewer than three characters begin no word: so few digests would tell how often each of them begins a name."""
        await create(bank, ADA)
        await create(bank, CreateParty(kind=PartyKind.PERSON, name="Lo A"))
        assert await found(bank, q=q) == (["Lo A"] if q != "love lo" else [])

    async def test_uses_the_search_index(self, bank: Bank):
        """The query's plan can read the index, so a search doesn't grow with the number of parties."""
        search = await service.search_for(bank.keys, bank.tenant, "ada")
        assert search is not None
        async with bank.tx() as tx:
            await tx.execute("SET LOCAL enable_seqscan = off")
            sql = "EXPLAIN SELECT id FROM parties WHERE search_digests && $1::bigint[]"
            rows = await tx.fetch(sql, search[0][0])
        assert "parties_search" in "\n".join(row[0] for row in rows)


class TestTheKeyOfTheSearch:
    """The key of the search."""

    async def test_can_be_rotated_while_parties_are_found(self, bank: Bank):
        """Old and new parties are found in between, and after the index was made anew by the newest version alone."""
        await create(bank, ADA)
        before = await _digests(bank)
        assert await bank.keys.rotate_purpose(bank.tenant, service.SEARCH_PURPOSE) == 2
        await named(bank, "Ada King")
        assert await found(bank, q="ada") == ["Ada King", "Ada Lovelace"]
        assert await service.reindex(bank.tenancy.database, bank.keys, bank.tenant, batch=10) == 1
        assert await service.reindex(bank.tenancy.database, bank.keys, bank.tenant, batch=10) == 0
        assert await found(bank, q="ada") == ["Ada King", "Ada Lovelace"]
        assert before & await _digests(bank) == set()

    async def test_is_each_tenants_own(self, bank: Bank):
        """The same name has other digests at another tenant."""
        await create(bank, ADA)
        other = await another(bank)
        await create(other, ADA)
        assert await _digests(bank) & await _digests(other) == set()


class TestADigest:
    """A digest of the search..."""

    async def test_says_nothing_of_other_fields(self, bank: Bank):
        """The same word in name, mail address and external id has three digests, and is found in each."""
        seen: list[set[int]] = []
        for given in (
            CreateParty(kind=PartyKind.PERSON, name="babbage"),
            CreateParty(kind=PartyKind.PERSON, name="A", email="babbage@b.example"),
            CreateParty(kind=PartyKind.PERSON, name="B", external_id="babbage"),
        ):
            await create(bank, given)
            seen.append(await _digests(bank) - set().union(*seen))
        assert all(len(each) >= 5 for each in seen)
        assert await found(bank, q="babb") == ["B", "A", "babbage"]
        assert await found(bank, q="b babbage") == ["B", "A"]

    async def test_of_the_former_form_is_found_until_it_is_made_anew(self, bank: Bank):
        """Parties that were written before the field went into digests are found as they were, and after it."""
        created = await create(bank, ADA)
        maker = await bank.keys.fingerprinter(bank.tenant, service.SEARCH_PURPOSE)
        terms = rules.index_terms(rules.search_words(ADA.name, ADA.email, ADA.external_id))
        former = {int.from_bytes(maker.digests(term.encode())[0].digest[:8], "big", signed=True) for term in terms}
        async with bank.tx() as tx:
            await queries.set_search(tx, uuid_of(created), created.version, sorted(former), 1)
        assert await found(bank, q="ada love") == ["Ada Lovelace"]
        assert await service.reindex(bank.tenancy.database, bank.keys, bank.tenant, batch=10) == 1
        assert await service.reindex(bank.tenancy.database, bank.keys, bank.tenant, batch=10) == 0
        assert await found(bank, q="ada love") == ["Ada Lovelace"]
        assert former & await _digests(bank) == set()


async def _digests(bank: Bank) -> set[int]:
    async with bank.tx() as tx:
        rows = await tx.fetch("SELECT unnest(search_digests) AS digest FROM parties")
    return {row["digest"] for row in rows}


class TestWhatLiesInTheDatabase:
    """What lies in the database."""

    async def test_is_sealed_by_a_key_of_the_party(self, bank: Bank):
        """Two parties have two keys, and what is one's opens at nobody else's place."""
        ada, charles = [uuid_of(party) for party in await named(bank, "Ada", "Charles")]
        async with bank.tx() as tx:
            rows = {row["id"]: bytes(row["sealed_profile"]) for row in await tx.fetch("SELECT * FROM parties")}
            await tx.execute("UPDATE parties SET sealed_profile = $2 WHERE id = $1", ada, rows[charles])
        assert key_id_of(rows[ada]) != key_id_of(rows[charles])
        with pytest.raises(SealBroken):
            await get(bank, ada)
        assert (await get(bank, charles)).name == "Charles"

    async def test_goes_with_its_key(self, bank: Bank):
        """Of somebody whose key was destroyed nothing is shown, also where the row has come back from a backup."""
        ada, charles = await named(bank, "Ada", "Charles")
        await bank.keys.forget(bank.tenant, [uuid_of(ada)], reason="asked to be forgotten")
        assert (await get(bank, uuid_of(ada))).name is None
        assert await found(bank) == ["Charles", None]
        assert await get(bank, uuid_of(charles)) == charles
        with pytest.raises(errors.PartyForgotten):
            await update(bank, ada, UpdateParty(name="Ada once more"))

    async def test_is_opened_by_one_query_for_a_page(self, bank: Bank):
        """However many parties a list shows, the key store is asked once."""
        await named(bank, *(f"Person {number}" for number in range(20)))
        cold = Bank(bank.tenancy, bank.keys)
        bank.keys.evict_all()
        asked: list[str] = []
        fetch = bank.keys.store.fetch

        async def counting(sql: str, *arguments: object) -> list[asyncpg.Record]:
            asked.append(sql)
            return await fetch(sql, *arguments)

        bank.keys.store.fetch = counting  # type: ignore[method-assign]
        assert len(await found(cold)) == 20
        assert len([sql for sql in asked if "subject_keys" in sql]) == 1


class TestAForgottenParty:
    """A forgotten party."""

    async def test_stays_as_a_tombstone(self, bank: Bank):
        """Its id, kind and times are there; name, address, external id and metadata aren't, nor is it found by them."""
        created = await create(bank, ADA)
        async with bank.tx() as tx:
            assert await service.erase_party(tx, uuid_of(created), created.created_at) is True
            assert await service.erase_party(tx, uuid_of(created), created.created_at) is False
            assert await service.find_existing(tx, [uuid_of(created)]) == set()
        shown = await get(bank, uuid_of(created))
        assert (shown.name, shown.email, shown.external_id, shown.metadata) == (None, None, None, {})
        assert shown.forgotten_at is not None
        assert await found(bank, q="ada") == []
        with pytest.raises(errors.PartyForgotten):
            await update(bank, created, UpdateParty(name="Ada once more"))
        assert (await create(bank, ADA)).external_id == ADA.external_id
