"""Whose wallets and accounts are and on what terms, as records of the chain; and what names whoever changes it."""

# ruff: noqa: S608 - the SQL is the tests' own.

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import pytest_asyncio

from billfold import chain, ids
from billfold.chain import Damage, Finding, Head
from billfold.chain.records import AccountTermsRecord, EraRecord, LinkRecord, Record, WalletTermsRecord
from billfold.contract.ledger import UpdateAccount
from billfold.ids import Prefix
from billfold_server.invariants.service import check
from billfold_server.ledger import kinds as ledger_kinds
from billfold_server.ledger.export import export_ledger, read_ledger, verify_ledger
from billfold_server.ledger.importing import import_ledger
from billfold_server.ledger.recording import NotRecordedError, Recorded, record_terms
from billfold_server.wallets import kinds
from tests.parties import add_party
from tests.server.ledger.books import CALLER, Bench, open_engine
from tests.server.ledger.giving import accepted, account
from tests.tenants import Tenancy


@pytest_asyncio.fixture
async def bench(tenancy: Tenancy) -> AsyncIterator[Bench]:
    """Two wallets that have had money, one that was frozen, one without an account, and an account with a limit."""
    bench = Bench(open_engine(tenancy.database), tenancy.database, tenancy.tenant)
    await bench.add_wallets(3, ["EUR"])
    await bench.add_wallets(1)
    await bench.top_up(0, 1000)
    await bench.top_up(1, 500)
    frozen = kinds.StatusChange(uuid_of(bench, 2), "freeze", "lost")
    accepted(await bench.submit(kinds.CHANGE_STATUS, frozen))
    fees = ids.decode(Prefix.ACCOUNT, await account(bench, "fees", overdraft_limit_minor=0))
    change = ledger_kinds.Update(fees, UpdateAccount(overdraft_limit_minor=50), None)
    accepted(await bench.submit(ledger_kinds.UPDATE_ACCOUNT, change))
    await bench.transfer(0, 1, 10)
    yield bench
    await bench.engine.close()


def uuid_of(bench: Bench, wallet: int) -> UUID:
    """Return a wallet's id as the database has it."""
    return ids.decode(Prefix.WALLET, bench.wallets[wallet])


async def records_of(bench: Bench) -> list[Record]:
    """Return the records of the ledger."""
    async with bench.database.tx(bench.tenant, snapshot=True) as tx:
        return [record async for record in read_ledger(tx)]


async def tampered(tenancy: Tenancy, bench: Bench, *statements: str) -> list[Finding]:
    """Change rows behind the engine's back, and return what is found."""
    assert (await verify_ledger(bench.database, bench.tenant)).findings == []
    await tenancy.as_owner(tenancy.tenant, *statements)
    findings = (await verify_ledger(bench.database, bench.tenant)).findings
    assert await check(bench.database, bench.tenant) or findings
    return findings


async def account_of(bench: Bench, wallet: int) -> UUID:
    """Return the id of a wallet's account."""
    async with bench.database.tx(bench.tenant) as tx:
        found: UUID = await tx.fetchval("SELECT id FROM accounts WHERE wallet_id = $1", uuid_of(bench, wallet))
    return found


class TestTerms:
    """Terms."""

    async def test_are_recorded_when_something_is_opened_and_when_they_change(self, bench: Bench) -> None:
        """And when nothing of them changes, no record is written."""
        records = await records_of(bench)
        told = [(record.kind, record.status) for record in records if isinstance(record, WalletTermsRecord)]
        assert told == [("opened", "active")] * 4 + [("changed", "frozen")]
        accounts = [record for record in records if isinstance(record, AccountTermsRecord)]
        kinds_of = [(each.kind, each.code, each.status, each.overdraft_limit_minor) for each in accounts]
        assert kinds_of == [
            *[("opened", None, "active", 0)] * 3,
            ("opened", "cash", "active", None),
            ("changed", None, "frozen", 0),
            ("opened", "fees", "active", 0),
            ("changed", "fees", "active", 50),
        ]

    async def test_come_after_the_era_with_which_the_first_link_begins(self, bench: Bench) -> None:
        """So a verifier knows from the first record on that nothing is without terms."""
        records = await records_of(bench)
        first = next(place for place, record in enumerate(records) if isinstance(record, LinkRecord))
        link, era = records[first], records[first + 1]
        assert isinstance(link, LinkRecord)
        assert isinstance(era, EraRecord)
        assert (link.number, era.number, link.leaves[: chain.HASH_BYTES]) == (1, chain.ERA, era.leaf())
        verification = await verify_ledger(bench.database, bench.tenant)
        assert (verification.ok, verification.unrecorded) == (True, 0)
        assert await check(bench.database, bench.tenant) == []

    async def test_can_be_proven_of_one_account_alone(self, bench: Bench) -> None:
        """By the text of its record and a path to the head, without anybody else's."""
        records = await records_of(bench)
        links = {record.number: record for record in records if isinstance(record, LinkRecord)}
        one = next(record for record in records if isinstance(record, AccountTermsRecord))
        holding = next(link for link in links.values() if one.leaf() in link.stored().split())
        head = Head(number=max(links), hash=links[max(links)].hash)
        stored = {number: link.stored() for number, link in links.items()}
        proof = chain.inclusion_proof(head.number, holding.number, holding.stored().split().index(one.leaf()), stored)
        names = [name for name in AccountTermsRecord.__struct_fields__ if name != "record"]
        chain.verify_inclusion(chain.account_terms_text(**{name: getattr(one, name) for name in names}), proof, head)


class TestWhoeverChangesAnOwner:
    """Whoever changes an owner."""

    async def test_is_found_out_by_the_wallet(self, tenancy: Tenancy, bench: Bench) -> None:
        """Also where nothing else tells whose it is, and the wallet has no account yet."""
        async with bench.database.tx(bench.tenant) as tx:
            other = await add_party(tx)
        for wallet in (0, 3):
            id_ = uuid_of(bench, wallet)
            before = (
                f"UPDATE wallets SET party_id = (SELECT party_id FROM wallet_terms AS t WHERE t.wallet_id = '{id_}')"
            )
            change = f"UPDATE wallets SET party_id = '{other}' WHERE id = '{id_}'"
            gone = "DELETE FROM audit_records; DELETE FROM outbox_events"
            (found,) = await tampered(tenancy, bench, change, gone)
            assert (found.damage, found.record, found.id) == (Damage.EDITED, "wallet", str(id_))
            assert str(other) in found.fact
            names = {breach.invariant for breach in await check(bench.database, bench.tenant)}
            assert "wallets_are_on_their_terms" in names
            await tenancy.as_owner(tenancy.tenant, f"{before} WHERE id = '{id_}'")

    async def test_is_found_out_by_the_record_where_that_is_changed_alike(self, tenancy: Tenancy, bench: Bench) -> None:
        """It isn't the one that was committed."""
        async with bench.database.tx(bench.tenant) as tx:
            other = await add_party(tx)
        id_ = uuid_of(bench, 0)
        found, *others = await tampered(
            tenancy,
            bench,
            f"UPDATE wallets SET party_id = '{other}' WHERE id = '{id_}'",
            f"UPDATE wallet_terms SET party_id = '{other}' WHERE wallet_id = '{id_}'",
        )
        assert (found.damage, found.record, found.id, others) == (Damage.EDITED, "wallet_terms", str(id_), [])

    async def test_is_found_out_by_accounts_that_were_exchanged(self, tenancy: Tenancy, bench: Bench) -> None:
        """Each is named, though balances, wallets and owners go on adding up."""
        first, second = await account_of(bench, 0), await account_of(bench, 1)
        findings = await tampered(
            tenancy,
            bench,
            "DROP INDEX accounts_wallet",
            f"UPDATE accounts SET wallet_id = CASE id WHEN '{first}' THEN '{uuid_of(bench, 1)}'::uuid "
            f"ELSE '{uuid_of(bench, 0)}'::uuid END WHERE id IN ('{first}', '{second}')",
        )
        named = {found.id for found in findings if (found.damage, found.record) == (Damage.EDITED, "account")}
        assert {str(first), str(second)} <= named
        assert (findings[0].damage, findings[0].record) == (Damage.EDITED, "account")

    @pytest.mark.parametrize(
        ("change", "record"),
        [
            ("UPDATE accounts SET overdraft_limit_minor = 9000 WHERE code = 'fees'", "account"),
            ("UPDATE accounts SET overdraft_limit_minor = NULL WHERE code = 'fees'", "account"),
            ("UPDATE accounts SET code = 'profits' WHERE code = 'fees'", "account"),
            ("UPDATE accounts SET currency = 'USD' WHERE code = 'fees'", "account"),
            ("UPDATE accounts SET type = 'asset' WHERE code = 'fees'", "account"),
            ("UPDATE accounts SET created_at = created_at - interval '1 day' WHERE code = 'fees'", "account"),
            ("UPDATE accounts SET status = 'frozen' WHERE code = 'fees'", "account"),
            ("UPDATE wallets SET created_at = created_at - interval '1 day' WHERE currencies = '{}'", "wallet"),
            ("UPDATE wallets SET status = 'closed' WHERE currencies = '{}'", "wallet"),
            (
                (
                    "UPDATE wallets SET status = 'active' WHERE status = 'frozen'; "
                    "UPDATE accounts SET status = 'active' WHERE status = 'frozen'"
                ),
                "wallet",
            ),
        ],
    )
    async def test_or_another_term_is_found_out(self, tenancy: Tenancy, bench: Bench, change: str, record: str) -> None:
        """Limits, freezing, code, currency, type and the time of opening."""
        found = (await tampered(tenancy, bench, change))[0]
        assert (found.damage, found.record) == (Damage.EDITED, record)

    async def test_is_found_out_by_a_record_that_was_dropped(self, tenancy: Tenancy, bench: Bench) -> None:
        """Its place in the link is missed, and so is what the wallet was opened by."""
        id_ = uuid_of(bench, 1)
        found, other = await tampered(tenancy, bench, f"DELETE FROM wallet_terms WHERE wallet_id = '{id_}'")
        assert (found.damage, found.record, found.link) == (Damage.DROPPED, "record", 1)
        assert (other.damage, other.record, other.id) == (Damage.INSERTED, "wallet", str(id_))

    async def test_is_found_out_by_a_record_that_was_inserted(self, tenancy: Tenancy, bench: Bench) -> None:
        """However well it goes with the rest: the limit is raised, and a record says so."""
        found = (
            await tampered(
                tenancy,
                bench,
                """
                INSERT INTO account_terms SELECT account_id, kind, wallet_id, code, type, normal_side, currency, status,
                    9000, opened_at, recorded_at + interval '1 microsecond'
                FROM account_terms WHERE code = 'fees' AND kind = 'changed'
                """,
                "UPDATE accounts SET overdraft_limit_minor = 9000 WHERE code = 'fees'",
            )
        )[0]
        assert (found.damage, found.record) == (Damage.INSERTED, "account_terms")

    async def test_is_found_out_by_what_was_opened_without_a_record(self, tenancy: Tenancy, bench: Bench) -> None:
        """Nobody can say that a wallet is from before there were terms: the era has begun with the first link."""
        found, *others = await tampered(
            tenancy,
            bench,
            """
            INSERT INTO wallets (id, party_id, status, currencies, metadata, version, created_at, updated_at)
            SELECT gen_random_uuid(), party_id, status, currencies, metadata, 1, '2020-01-01', '2020-01-01'
            FROM wallets WHERE currencies = '{}'
            """,
        )
        assert (found.damage, found.record, others) == (Damage.INSERTED, "wallet", [])

    async def test_is_found_out_by_an_era_that_is_gone(self, tenancy: Tenancy, bench: Bench) -> None:
        """What was opened without a record would be let be in the first era; but the second one is in the chain."""
        statements = ("DELETE FROM ledger_eras", "UPDATE ledger_head SET era = 1")
        found = (await tampered(tenancy, bench, *statements))[0]
        assert (found.damage, found.record, found.link) == (Damage.DROPPED, "record", 1)

    async def test_is_found_out_by_metadata_that_was_given_later(self, tenancy: Tenancy, bench: Bench) -> None:
        """No commitment means that there was no text."""
        found = (await tampered(tenancy, bench, """UPDATE transfers SET metadata = '{"order": "1"}'"""))[0]
        assert (found.damage, found.record) == (Damage.INCONSISTENT, "transfer")

    async def test_or_lets_time_begin_in_the_future_is_found_out(self, tenancy: Tenancy) -> None:
        """Where nothing has moved yet, no record says a latest time of effect, and the head says none, either."""
        bench = Bench(open_engine(tenancy.database), tenancy.database, tenancy.tenant)
        await bench.add_wallets(1, ["EUR"])
        (found,) = await tampered(tenancy, bench, "UPDATE ledger_head SET effective_high = '2999-01-01'")
        assert (found.damage, found.record) == (Damage.EDITED, "head")
        await bench.engine.close()


OLD = """
INSERT INTO wallets (id, party_id, status, currencies, metadata, version, created_at, updated_at)
SELECT ('00000000-0000-7000-8000-00000000000' || n)::uuid, id, 'active', '{EUR}', '{}', 1, '2020-01-01', '2020-01-01'
FROM parties, generate_series(1, 3) AS n;
INSERT INTO accounts (id, type, normal_side, currency, wallet_id, status, overdraft_limit_minor, posted_minor,
    pending_minor, held_minor, metadata, version, created_at, updated_at)
SELECT ('00000000-0000-7000-9000-00000000000' || n)::uuid, 'liability', 'credit', 'EUR',
    ('00000000-0000-7000-8000-00000000000' || n)::uuid, 'active', 0, 0, 0, 0, '{}', 1, '2020-01-01', '2020-01-01'
FROM generate_series(1, 3) AS n;
UPDATE ledger_head SET era = 1
"""
"""Three wallets with their accounts, as they were opened before there were terms."""


@pytest_asyncio.fixture
async def old(tenancy: Tenancy) -> AsyncIterator[Bench]:
    """A tenant from before there were terms."""
    bench = Bench(open_engine(tenancy.database), tenancy.database, tenancy.tenant)
    async with bench.database.tx(bench.tenant) as tx:
        await add_party(tx)
    await tenancy.as_owner(tenancy.tenant, OLD)
    bench.wallets = [ids.encode(Prefix.WALLET, UUID(f"00000000-0000-7000-8000-00000000000{n}")) for n in (1, 2, 3)]
    yield bench
    await bench.engine.close()


async def record(bench: Bench) -> Recorded:
    """Record what has no terms."""
    return await record_terms(bench.database, bench.engine, bench.tenant, reason="after the upgrade", caller=CALLER)


class TestWalletsFromBeforeThereWereTerms:
    """Wallets from before there were terms."""

    async def test_are_counted_until_they_are_recorded_as_found(self, old: Bench) -> None:
        """What is changed or opened meanwhile has its terms by itself, and all go on as before."""
        await old.top_up(0, 100)
        accepted(await old.submit(kinds.CHANGE_STATUS, kinds.StatusChange(uuid_of(old, 2), "freeze", "lost")))
        before = await verify_ledger(old.database, old.tenant)
        assert (before.findings, before.unrecorded, before.era) == ([], 4, 1)
        assert await check(old.database, old.tenant) == []
        done, again = await asyncio.gather(record(old), record(old))
        assert {done.wallets, again.wallets} <= {0, 2}
        assert (await record(old)) == Recorded(wallets=0, accounts=0)
        await old.add_wallets(1, ["EUR"])
        await old.transfer(0, 1, 5)
        after = await verify_ledger(old.database, old.tenant, trusted=before.head)
        assert (after.findings, after.unrecorded, after.era) == ([], 0, chain.ERA)
        assert await check(old.database, old.tenant) == []
        records = await records_of(old)
        told = [each.kind for each in records if isinstance(each, WalletTermsRecord)]
        assert told == ["changed", "found", "found", "opened"]
        assert sum(isinstance(each, EraRecord) for each in records) == 1
        async with old.database.tx(old.tenant) as tx:
            query = "SELECT reason FROM audit_records WHERE action = 'ledger.terms_recorded'"
            assert [row["reason"] for row in await tx.fetch(query)] == ["after the upgrade"]

    async def test_are_held_as_they_were_found(self, tenancy: Tenancy, old: Bench) -> None:
        """Whoever changes an owner, or adds a wallet that is said to be old, is found out from then on."""
        await old.top_up(0, 100)
        await record(old)
        async with old.database.tx(old.tenant) as tx:
            other = await add_party(tx)
        id_ = uuid_of(old, 0)
        found = (await tampered(tenancy, old, f"UPDATE wallets SET party_id = '{other}' WHERE id = '{id_}'"))[0]
        assert (found.damage, found.record, found.id) == (Damage.EDITED, "wallet", str(id_))
        again = f"UPDATE wallets SET party_id = (SELECT party_id FROM wallet_terms LIMIT 1) WHERE id = '{id_}'"
        await tenancy.as_owner(tenancy.tenant, again)
        forged = OLD.replace("00000000-0000", "00000001-0000").replace(
            "FROM parties,", "FROM (SELECT id FROM parties LIMIT 1) AS p,"
        )
        findings = await tampered(tenancy, old, forged)
        assert {(each.damage, each.record) for each in findings} == {
            (Damage.INSERTED, "wallet"),
            (Damage.INSERTED, "account"),
        }
        # The command doesn't help whoever did that.
        with pytest.raises(NotRecordedError):
            await record(old)

    async def test_are_not_recorded_in_books_that_are_damaged(self, tenancy: Tenancy, old: Bench) -> None:
        """What nobody can vouch for isn't made the chain's word."""
        await old.top_up(0, 100)
        await tenancy.as_owner(tenancy.tenant, "UPDATE accounts SET posted_minor = -7 WHERE code IS NULL")
        with pytest.raises(NotRecordedError) as refused:
            await record(old)
        assert "balance" in refused.value.fact

    async def test_stay_in_the_first_era_where_no_record_was_written_yet(self, tenancy: Tenancy, old: Bench) -> None:
        """An old server opened them while the tenant, which had been empty, was already to begin with the second."""
        await tenancy.as_owner(tenancy.tenant, f"UPDATE ledger_head SET era = {chain.ERA}")
        assert await record(old) == Recorded(wallets=3, accounts=3)
        await old.top_up(0, 100)
        after = await verify_ledger(old.database, old.tenant)
        assert (after.findings, after.unrecorded, after.era) == ([], 0, chain.ERA)
        told = [type(each) for each in await records_of(old) if isinstance(each, EraRecord | WalletTermsRecord)]
        assert told == [WalletTermsRecord] * 3 + [EraRecord]

    async def test_come_to_an_empty_tenant_as_they_are(self, tenancy: Tenancy, old: Bench) -> None:
        """An export from before they were recorded gives the same head, and can be recorded there."""
        await old.top_up(0, 100)
        lines = [line async for line in export_ledger(old.database, old.tenant)]
        target = await tenancy.add("moved")
        await import_ledger(tenancy.database, target, lines, caller=CALLER)
        moved = Bench(open_engine(tenancy.database), tenancy.database, target)
        there, here = [await verify_ledger(each.database, each.tenant) for each in (moved, old)]
        assert (there.findings, there.unrecorded, there.head) == ([], here.unrecorded, here.head)
        await record(moved)
        assert (await verify_ledger(moved.database, target)).unrecorded == 0
        await moved.engine.close()
