"""What an administrator with all rights does to a sealed trail, and what verification says of it."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest_asyncio

from billfold import ids
from billfold.chain import Damage, Head, TrailVerification
from billfold.chain.trail import MOST_RECORDS, TrailHead
from tests.server.audit.trails import Attack, attacking, fill, note, seal_all, verified
from tests.server.ledger.books import Bench
from tests.tenants import Tenancy

RECORD_COLUMNS = {
    "actor": "'usr_1'",
    "action": "'thing.undone'",
    "object_id": "'other'",
    "reason": "concat(reason, '!')",
    "request_id": "'req_1'",
    "facts": """'{"from": "frozen"}'""",
    "recorded_at": "recorded_at + interval '1 microsecond'",
    "link": "link + 1",
    "salt": "NULL",
}
ORDERED_COLUMNS = {
    "kind": "'top_up', from_wallet_id = NULL, cash_account_id = id",
    "actor": "'usr_1'",
    "request_id": "NULL",
    "recorded_at": "recorded_at + interval '1 microsecond'",
}
LINK_COLUMNS = {
    "sealed_at": "sealed_at + interval '1 microsecond'",
    "leaves": "set_byte(leaves, 39, 255 - get_byte(leaves, 39))",
    "record_ids": "set_byte(record_ids, 2, 255 - get_byte(record_ids, 2))",
    "ordered": "set_byte(ordered, 2, 255 - get_byte(ordered, 2))",
    "ordered_to": "NULL",
    "hash": "set_byte(hash, 2, 255 - get_byte(hash, 2))",
}
HEAD_COLUMNS = {
    "number": "number + 1",
    "hash": "set_byte(hash, 2, 255 - get_byte(hash, 2))",
    "skips": "hash",
    "sealed_at": "sealed_at + interval '1 day'",
    "ordered_to": "(SELECT id FROM transfers ORDER BY id DESC LIMIT 1)",
}
INSERT = """
INSERT INTO audit_records SELECT $1, actor, action, object_id, reason, request_id, facts, recorded_at, link, salt
FROM audit_records WHERE id = $2
"""


@pytest_asyncio.fixture
async def attack(tenancy: Tenancy, bench: Bench) -> AsyncIterator[Attack]:
    """Return what is to be done to a trail with three links."""
    await fill(tenancy, bench)
    whole = await verified(tenancy)
    assert (whole.ok, whole.head.number, whole.unsealed) == (True, 3, 2), whole.findings
    async with attacking(tenancy) as attack:
        # Whoever owns the tables can take away what keeps values from them.
        await attack.do("ALTER TABLE audit_records ALTER facts DROP NOT NULL")
        yield attack


class Undoing:
    """Rolls back to where the trail was whole."""

    def __init__(self, attack: Attack) -> None:
        self._attack = attack

    async def __aenter__(self) -> None:
        await self._attack.do("SAVEPOINT whole")

    async def __aexit__(self, *_: object) -> None:
        await self._attack.do("ROLLBACK TO SAVEPOINT whole")


def first(found: TrailVerification) -> tuple[Damage, str, str | None]:
    """Return what the first finding says."""
    assert not found.ok
    return found.findings[0].damage, found.findings[0].record, found.findings[0].id


async def sealed_ids(attack: Attack) -> list[UUID]:
    """Return the ids of the sealed records in order."""
    return [
        row["id"]
        for row in await attack.connection.fetch("SELECT id FROM audit_records WHERE link IS NOT NULL ORDER BY id")
    ]


class TestARecord:
    async def test_that_is_edited_is_named(self, attack: Attack) -> None:
        """In any of its columns, in any link."""
        for id_ in (await sealed_ids(attack))[::4]:
            for column, value in RECORD_COLUMNS.items():
                async with Undoing(attack):
                    await attack.do(f"UPDATE audit_records SET {column} = {value} WHERE id = $1", id_)  # noqa: S608
                    assert first(await attack.verify()) == (Damage.EDITED, "audit_record", str(id_)), column

    async def test_is_the_same_however_its_facts_are_spelled(self, attack: Attack) -> None:
        """Numbers have no zeros at their end, and members no order."""
        facts = '{"share": 1.500, "names": ["\\u00e4", "\\n"], "from": "active"}'
        changed = await attack.do("UPDATE audit_records SET facts = $1 WHERE action = 'thing.done'", facts)
        assert changed == "UPDATE 8"
        assert (await attack.verify()).ok

    async def test_of_values_that_none_can_have_is_named(self, attack: Attack) -> None:
        """Times that Python has no word for, and facts that are none."""
        id_ = (await sealed_ids(attack))[3]
        for change in ("recorded_at = 'infinity'", "recorded_at = '0044-03-15 BC'", "facts = NULL"):
            async with Undoing(attack):
                await attack.do(f"UPDATE audit_records SET {change} WHERE id = $1", id_)  # noqa: S608
                assert first(await attack.verify()) == (Damage.EDITED, "audit_record", str(id_)), change

    async def test_that_is_dropped_is_named(self, attack: Attack) -> None:
        """Any of them, also the first and the last."""
        for id_ in await sealed_ids(attack):
            async with Undoing(attack):
                await attack.do("DELETE FROM audit_records WHERE id = $1", id_)
                assert first(await attack.verify()) == (Damage.DROPPED, "audit_record", str(id_))

    async def test_that_is_put_in_is_named(self, attack: Attack) -> None:
        """With whichever link it claims, and at whichever place."""
        known = await sealed_ids(attack)
        for link in (1, 3, 99):
            async with Undoing(attack):
                id_ = UUID(int=known[2].int + 1)
                await attack.do(INSERT, id_, known[2])
                await attack.do("UPDATE audit_records SET link = $1 WHERE id = $2", link, id_)
                assert first(await attack.verify()) == (Damage.INSERTED, "audit_record", str(id_))

    async def test_that_gets_another_id_is_dropped_and_put_in(self, attack: Attack) -> None:
        """The old id is missing, and the new one in no link."""
        id_ = (await sealed_ids(attack))[1]
        other = UUID(int=id_.int + 1)
        await attack.do("UPDATE audit_records SET id = $1 WHERE id = $2", other, id_)
        found = [(each.damage, each.id) for each in (await attack.verify()).findings]
        assert found == [(Damage.DROPPED, str(id_)), (Damage.INSERTED, str(other))]

    async def test_that_takes_the_place_of_another_is_named(self, attack: Attack) -> None:
        """Two rows that are swapped are both edited."""
        one, _, two = (await sealed_ids(attack))[:3]
        await attack.do(
            "UPDATE audit_records AS r SET object_id = o.object_id FROM audit_records AS o "
            "WHERE r.id = ANY($1) AND o.id = ANY($1) AND r.id <> o.id",
            [one, two],
        )
        found = [(each.damage, each.id) for each in (await attack.verify()).findings]
        assert found == [(Damage.EDITED, str(one)), (Damage.EDITED, str(two))]

    async def test_that_is_sealed_twice_is_named(self, attack: Attack) -> None:
        """Also before it is, once its link is taken away, and whether it claims the old or the new one."""
        id_ = (await sealed_ids(attack))[4]
        await attack.do("UPDATE audit_records SET link = NULL, salt = NULL, actor = 'usr_1' WHERE id = $1", id_)
        assert first(await attack.verify()) == (Damage.EDITED, "audit_record", str(id_))
        assert await attack.seal() is not None
        assert first(await attack.verify()) == (Damage.EDITED, "audit_record", str(id_))
        await attack.do("UPDATE audit_records SET link = 2 WHERE id = $1", id_)
        assert first(await attack.verify()) == (Damage.EDITED, "audit_record", str(id_))

    async def test_that_is_sealed_twice_unchanged_is_named(self, attack: Attack) -> None:
        """It can only be in one link."""
        id_ = (await sealed_ids(attack))[0]
        await attack.do("UPDATE audit_records SET link = NULL WHERE id = $1", id_)
        await attack.seal()
        assert first(await attack.verify()) == (Damage.EDITED, "audit_record", str(id_))


class TestWhoOrderedATransfer:
    async def test_is_held(self, attack: Attack) -> None:
        """Whichever column of it is changed, of whichever transfer that is sealed."""
        transfers = await attack.ids("transfers")
        for id_ in transfers[1:-1:3]:
            for column, value in ORDERED_COLUMNS.items():
                async with Undoing(attack):
                    await attack.do(f"UPDATE transfers SET {column} = {value} WHERE id = $1", id_)  # noqa: S608
                    assert first(await attack.verify()) == (Damage.EDITED, "transfer", str(id_)), column

    async def test_says_nothing_of_what_people_have_written(self, attack: Attack) -> None:
        """So forgetting somebody, which blanks it, breaks nothing."""
        assert await attack.do("UPDATE transfers SET description = NULL, metadata = '{}'") == "UPDATE 9"
        assert (await attack.verify()).ok

    async def test_is_missed_with_its_transfer(self, attack: Attack) -> None:
        """The finding says after which one it came."""
        transfers = await attack.ids("transfers")
        for place in range(len(transfers) - 1):
            async with Undoing(attack):
                await attack.do("DELETE FROM transfers WHERE id = $1", transfers[place])
                found = await attack.verify()
                assert first(found) == (Damage.DROPPED, "transfer", None)
                assert place == 0 or found.findings[0].fact.endswith(f"after transfer {transfers[place - 1]}")

    async def test_is_named_where_one_is_put_in_or_moved(self, attack: Attack) -> None:
        """By its id, also where it takes the place of another one."""
        known = (await attack.ids("transfers"))[3]
        other = UUID(int=known.int + 1)
        columns = (
            "kind, from_wallet_id, to_wallet_id, amount_minor, currency, metadata, effective_at, recorded_at, actor"
        )
        async with Undoing(attack):
            await attack.do(
                f"INSERT INTO transfers (id, {columns}) SELECT $1, {columns} FROM transfers WHERE id = $2",  # noqa: S608
                other,
                known,
            )
            assert first(await attack.verify()) == (Damage.INSERTED, "transfer", str(other))
        await attack.do("UPDATE transfers SET id = $1 WHERE id = $2", other, known)
        assert first(await attack.verify()) == (Damage.EDITED, "transfer", str(other))


class TestALink:
    async def test_that_is_edited_is_named(self, attack: Attack) -> None:
        """In any of its columns."""
        for number in (1, 2, 3):
            for column, value in LINK_COLUMNS.items():
                async with Undoing(attack):
                    await attack.do(f"UPDATE audit_links SET {column} = {value} WHERE number = $1", number)  # noqa: S608
                    found = await attack.verify()
                    assert first(found) == (Damage.EDITED, "link", str(number)), column

    async def test_may_hold_nothing_readable(self, attack: Attack) -> None:
        """What is NULL is damage, and no mistake of ours."""
        for column in ("sealed_at", "leaves", "record_ids", "ordered", "hash"):
            async with Undoing(attack):
                await attack.do(f"ALTER TABLE audit_links ALTER {column} DROP NOT NULL")
                await attack.do(f"UPDATE audit_links SET {column} = NULL WHERE number = 2")  # noqa: S608
                found = await attack.verify()
                assert (found.ok, found.findings[0].record, found.findings[0].id) == (False, "link", "2"), column

    async def test_that_is_dropped_is_named(self, attack: Attack) -> None:
        """The last one by what the head says."""
        for number in (1, 2):
            async with Undoing(attack):
                await attack.do("DELETE FROM audit_links WHERE number = $1", number)
                assert first(await attack.verify()) == (Damage.DROPPED, "link", str(number))
        await attack.do("DELETE FROM audit_links WHERE number = 3")
        assert any(each.record == "trail" for each in (await attack.verify()).findings)

    async def test_cannot_take_the_place_of_another(self, attack: Attack) -> None:
        """Two that are swapped don't follow from those before."""
        for before, after in ((1, 11), (2, 1), (11, 2)):
            await attack.do("UPDATE audit_links SET number = $1 WHERE number = $2", after, before)
        assert first(await attack.verify()) == (Damage.EDITED, "link", "1")


class TestTheHead:
    async def test_says_what_the_links_lead_to(self, attack: Attack) -> None:
        """Any of its columns that says otherwise is found."""
        for column, value in HEAD_COLUMNS.items():
            async with Undoing(attack):
                await attack.do(f"UPDATE audit_head SET {column} = {value}")  # noqa: S608
                assert first(await attack.verify()) == (Damage.EDITED, "trail", None), column

    async def test_that_was_kept_shows_an_end_that_was_cut_off(self, attack: Attack) -> None:
        """Nothing else does, where records, link and head go together."""
        kept = (await attack.verify()).head
        await attack.do("DELETE FROM audit_records WHERE link = 3")
        await attack.do("DELETE FROM audit_links WHERE number = 3")
        whole = await attack.connection.fetchrow("SELECT * FROM audit_links WHERE number = 2")
        first_link = await attack.connection.fetchval("SELECT hash FROM audit_links WHERE number = 1")
        assert whole is not None
        await attack.do(
            "UPDATE audit_head SET number = 2, hash = $1, skips = $2, sealed_at = $3, ordered_to = $4",
            whole["hash"],
            whole["hash"][:0] + first_link,
            whole["sealed_at"],
            whole["ordered_to"],
        )
        alone = await attack.verify()
        assert alone.ok, alone.findings
        found = await attack.verify(kept)
        assert first(found) == (Damage.DROPPED, "link", "3")

    async def test_that_was_kept_shows_a_chain_that_was_made_anew(self, attack: Attack) -> None:
        """Which is whole by itself."""
        kept = (await attack.verify()).head
        await attack.do("UPDATE audit_records SET link = NULL, salt = NULL")
        await attack.do("UPDATE audit_records SET actor = 'usr_1' WHERE action = 'thing.done'")
        await attack.do("DELETE FROM audit_links")
        await attack.do("UPDATE audit_head SET number = 0, hash = $1, skips = '', ordered_to = NULL", bytes(32))
        for _ in range(3):
            await attack.seal()
        assert (await attack.verify()).ok
        assert not (await attack.verify(kept)).ok
        assert (await attack.verify(TrailHead(number=0, hash=bytes(32)))).ok
        assert not (await attack.verify(Head(number=0, hash=b"1" * 32))).ok


class TestRetention:
    async def test_takes_the_oldest_and_nothing_shows_it_as_damage(self, attack: Attack) -> None:
        """What is more than a year old may go, whichever link holds it and whenever that was made."""
        old = datetime.now(UTC) - timedelta(days=400)
        made = [ids.uuid7_at(old + timedelta(days=day)) for day in range(4)]
        known = (await sealed_ids(attack))[0]
        for id_ in made:
            await attack.do(INSERT, id_, known)
            await attack.do("UPDATE audit_records SET link = NULL, recorded_at = $1 WHERE id = $2", old, id_)
        await attack.seal()
        assert (await attack.verify()).ok
        await attack.do("DELETE FROM audit_records WHERE id = ANY($1)", made[:2])
        found = await attack.verify()
        assert (found.ok, found.deleted, found.deleted_to) == (True, 2, ids.instant_of(made[1])), found.findings
        await attack.do("DELETE FROM audit_records WHERE id = $1", made[3])
        assert first(await attack.verify()) == (Damage.DROPPED, "audit_record", str(made[3]))

    async def test_excuses_nothing_of_the_last_year(self, attack: Attack) -> None:
        """Not even where all that is older is gone."""
        await attack.do("DELETE FROM audit_records")
        assert {each.damage for each in (await attack.verify()).findings} == {Damage.DROPPED}


class TestWhatIsUnsealed:
    async def test_is_told_and_no_damage(self, attack: Attack) -> None:
        """With how long it has been waiting."""
        since = await attack.connection.fetchval("SELECT min(recorded_at) FROM audit_records WHERE link IS NULL")
        found = await attack.verify()
        assert (found.ok, found.unsealed, found.unsealed_since) == (True, 2, since)

    async def test_is_sealed_as_it_is_found(self, tenancy: Tenancy) -> None:
        """Nobody notices what is changed before, within about a minute."""
        await note(tenancy, "a")
        await tenancy.as_owner(tenancy.tenant, "UPDATE audit_records SET actor = 'usr_1'")
        await seal_all(tenancy)
        assert (await verified(tenancy)).ok


class TestARecordThatIsPutIn:
    async def test_with_an_earlier_time_is_told_once_it_is_sealed(self, attack: Attack) -> None:
        """It wasn't there when the link before was made, which had room; whichever of its two times is the earlier."""
        known, hour = (await sealed_ids(attack))[0], timedelta(hours=1)
        before, now = ids.uuid7_at(datetime.now(UTC) - hour), ids.uuid7_at(datetime.now(UTC))
        for id_ in (before, now):
            await attack.do(INSERT, id_, known)
            await attack.do("UPDATE audit_records SET link = NULL WHERE id = $1", id_)
        await attack.do("UPDATE audit_records SET recorded_at = recorded_at - $1::interval WHERE id = $2", hour, now)
        assert (await attack.verify()).late == 0
        await attack.seal()
        found = await attack.verify()
        assert (found.ok, found.late, found.late_ids) == (True, 2, [before, now])

    async def test_is_told_from_old_ones_that_are_sealed_late(self, tenancy: Tenancy) -> None:
        """More than a link holds, from before there were links, and from among them one that came after the first."""
        old = datetime.now(UTC) - timedelta(days=30)
        made = [old + timedelta(minutes=minute) for minute in range(MOST_RECORDS + 100)]
        add = """
            INSERT INTO audit_records (id, actor, action, object_id, facts, recorded_at)
            SELECT n.id, 'cli_1', 'thing.done', 'x', '{}', n.at FROM unnest($1::uuid[], $2::timestamptz[]) AS n (id, at)
        """
        async with attacking(tenancy) as attack:
            await attack.do(add, [ids.uuid7_at(each) for each in made], made)
            await attack.seal()
            among = ids.uuid7_at(made[MOST_RECORDS // 2])
            await attack.do(add, [among], [made[MOST_RECORDS // 2]])
            await attack.seal()
            await attack.seal()
            found = await attack.verify()
        assert (found.ok, found.head.number, found.unsealed) == (True, 2, 0)
        assert (found.late, found.late_ids) == (1, [among])


class TestAnyChange:
    async def test_of_what_is_sealed_is_noticed(self, attack: Attack) -> None:
        """Forty of them by chance, each in one row and one column or one row as a whole."""
        chance = random.Random(67)
        tables = {"audit_records": ("id", RECORD_COLUMNS), "audit_links": ("number", LINK_COLUMNS)}
        for _ in range(40):
            table = chance.choice(list(tables))
            key, columns = tables[table]
            where = "link IS NOT NULL" if table == "audit_records" else "true"
            query = f"SELECT {key} FROM {table} WHERE {where} ORDER BY {key}"  # noqa: S608
            chosen = chance.choice([row[0] for row in await attack.connection.fetch(query)])
            column, value = chance.choice(list(columns.items()))
            drops = chance.random() < 1 / 5
            change = f"DELETE FROM {table}" if drops else f"UPDATE {table} SET {column} = {value}"  # noqa: S608
            async with Undoing(attack):
                assert (await attack.do(f"{change} WHERE {key} = $1", chosen)).endswith(" 1")
                assert not (await attack.verify()).ok, (change, chosen)
