"""Sets of rows in one statement, against PostgreSQL."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billfold import ids
from billfold_server.db.sets import (
    PIECES,
    Columns,
    Write,
    as_read,
    call,
    documents,
    instants,
    integers,
    joined,
    octets,
    texts,
    uuids,
    write_all,
)
from tests.tenants import Tenancy

TEXTS = st.lists(st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20))
INSTANTS = st.datetimes(min_value=datetime(1, 1, 2), timezones=st.just(UTC))  # noqa: DTZ001 - the strategy adds it

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class TestAColumn:
    """A column."""

    @SETTINGS
    @given(values=TEXTS)
    async def test_of_texts_arrives_as_it_was(self, tenancy: Tenancy, values: list[str | None]) -> None:
        """Quotes, braces, commas, backslashes and the word NULL are text like any other."""
        awkward = [*values, "NULL", "null", "", '"', "\\", "{a,b}", " x ", 'a"b\\"c', "\n\t"]
        async with tenancy.database.tx(tenancy.tenant) as tx:
            assert await tx.fetchval("SELECT $1::text::text[]", texts(awkward)) == awkward

    @SETTINGS
    @given(
        numbers=st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)),
        times=st.lists(st.none() | INSTANTS),
        keys=st.lists(st.none() | st.uuids()),
    )
    async def test_of_numbers_instants_and_ids_does_too(
        self,
        tenancy: Tenancy,
        numbers: list[int | None],
        times: list[datetime | None],
        keys: list[UUID | None],
    ) -> None:
        """What has no quotes needs none."""
        async with tenancy.database.tx(tenancy.tenant) as tx:
            assert await tx.fetchval("SELECT $1::text::bigint[]", integers(numbers)) == numbers
            assert await tx.fetchval("SELECT $1::text::timestamptz[]", instants(times)) == times
            assert await tx.fetchval("SELECT $1::text::uuid[]", uuids(keys)) == keys

    async def test_of_documents_is_json(self, tenancy: Tenancy) -> None:
        """Each becomes jsonb, also with quotes in it."""
        given = documents([{}, {"a": 'it"s'}, {"b": "\\"}])
        async with tenancy.database.tx(tenancy.tenant) as tx:
            found = await tx.fetch(
                "SELECT d::jsonb ->> 'a' AS a, d::jsonb ->> 'b' AS b FROM unnest($1::text::text[]) d", given
            )
        assert [(row["a"], row["b"]) for row in found] == [(None, None), ('it"s', None), (None, "\\")]

    @SETTINGS
    @given(values=st.lists(st.none() | st.binary(max_size=20)))
    async def test_of_bytes_arrives_as_it_was(self, tenancy: Tenancy, values: list[bytes | None]) -> None:
        """Any bytes may be in it."""
        async with tenancy.database.tx(tenancy.tenant) as tx:
            assert await tx.fetchval("SELECT $1::text::bytea[]", octets(values)) == values


ROWS = Columns(key="bigint", word="text", size="integer", at="timestamptz", owner="uuid", facts="jsonb", body=PIECES)
WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)
FACTS = st.dictionaries(st.sampled_from("ab"), WORDS, max_size=1)
ROW = st.tuples(
    st.none() | WORDS, st.none() | st.integers(0, 9), st.none() | INSTANTS, st.none() | st.uuids(), FACTS, WORDS
)


class TestColumns:
    """Columns that travel together."""

    @SETTINGS
    @given(rows=st.lists(ROW, min_size=1, max_size=5), copies=st.integers(1, 3))
    async def test_arrive_as_they_were(self, tenancy: Tenancy, rows: list[tuple[Any, ...]], copies: int) -> None:
        """Whether all rows have the same, some, none or nothing at all, each has its own; also in a prepared text."""
        rows = [(key, *row) for key, row in enumerate(rows * copies)]
        arguments = ROWS.arguments(
            *(list(column) for column in zip(*((*r[:-1], r[-1].encode()) for r in rows), strict=True))
        )
        sql = f"SELECT {ROWS.values} FROM {ROWS.rows}"  # noqa: S608 - constants
        await tenancy.as_owner(
            tenancy.tenant,
            "DROP TABLE IF EXISTS kept",
            "CREATE TABLE kept (k bigint, w text, s int, a timestamptz, o uuid, f jsonb, b bytea)",
            "GRANT SELECT, INSERT ON kept TO {runtime}",
        )
        async with tenancy.database.tx(tenancy.tenant) as tx:
            found = await tx.fetch(sql, *arguments)
            write = Write(f"INSERT INTO kept {sql}", arguments)
            name, preparation = tx.statement(joined([write]))
            tx.end_with(preparation + call(name, [write]))
        async with tenancy.database.tx(tenancy.tenant) as tx:
            kept = await tx.fetch("SELECT k, w, s, a, o, f, b FROM kept ORDER BY k")
        for each in (found, kept):
            assert [(*row[:5], msgspec.json.decode(row[5]), row[6].decode()) for row in map(tuple, each)] == rows

    async def test_know_their_place(self, tenancy: Tenancy) -> None:
        """Rows can be numbered in the order in which they were given."""
        arguments = ROWS.arguments([7, 7, 5], ["a"] * 3, [1] * 3, [None] * 3, [None] * 3, [{}] * 3, [b"x"] * 3)
        async with tenancy.database.tx(tenancy.tenant) as tx:
            found = await tx.fetch(f"SELECT n.place, {ROWS.values} FROM {ROWS.numbered}", *arguments)  # noqa: S608 - constants
        assert [tuple(row)[:3] for row in found] == [(1, 7, "a"), (2, 7, "a"), (3, 5, "a")]


class TestWrites:
    """Writes."""

    async def test_go_together_and_read_what_one_has_returned(self, tenancy: Tenancy) -> None:
        """The parameters of each are its own, and a name leads to what a write returns."""
        await tenancy.as_owner(
            tenancy.tenant,
            "CREATE TABLE counts (id int PRIMARY KEY, n int NOT NULL)",
            "CREATE TABLE seen (n int NOT NULL)",
            "GRANT SELECT, INSERT, UPDATE ON counts, seen TO {runtime}",
            "INSERT INTO counts VALUES (1, 10)",
        )
        add = Write("UPDATE counts SET n = n + $1::int WHERE id = $2::int RETURNING n", (5, 1), name="moved")
        note = Write("INSERT INTO seen SELECT moved.n + $1::int FROM moved", (100,))
        async with tenancy.database.tx(tenancy.tenant) as tx:
            await write_all(tx, [add, note])
            assert await tx.fetchval("SELECT n FROM counts") == 15
            assert await tx.fetchval("SELECT n FROM seen") == 115

    async def test_fail_together(self, tenancy: Tenancy) -> None:
        """One that fails undoes the others."""
        await tenancy.as_owner(
            tenancy.tenant,
            "CREATE TABLE counts (id int PRIMARY KEY)",
            "GRANT SELECT, INSERT ON counts TO {runtime}",
        )
        writes = [Write("INSERT INTO counts VALUES ($1::int)", (number,)) for number in (1, 2, 2)]
        with pytest.raises(asyncpg.UniqueViolationError):
            async with tenancy.database.tx(tenancy.tenant) as tx:
                await write_all(tx, writes)
        async with tenancy.database.tx(tenancy.tenant) as tx:
            assert await tx.fetchval("SELECT count(*) FROM counts") == 0


class TestAnIdOfTheDriver:
    """An id of the driver."""

    @given(number=st.integers(0, 2**128 - 1))
    def test_is_the_same_as_python_s_own(self, number: int) -> None:
        """It is equal, hashes alike, sorts alike and is written alike."""
        plain, driver = UUID(int=number), as_read(number)
        assert (driver, hash(driver), str(driver), driver.hex, driver.int) == (
            plain,
            hash(plain),
            str(plain),
            plain.hex,
            number,
        )
        assert isinstance(driver, UUID)
        assert {plain: 1}[driver] == 1

    @given(instant=st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9000, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
    def test_holds_an_instant_to_the_microsecond(self, instant: datetime) -> None:
        """It gives the instant back, and lies between the first and the last that can."""
        made = ids.uuid7_at(instant)
        assert ids.instant_of(made) == instant
        assert ids.first_at(instant) <= made <= ids.last_at(instant) < ids.first_at(instant + timedelta(microseconds=1))
