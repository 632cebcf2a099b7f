"""Setting a key store up: again and again the same, for one keyring, and with no more rights than are needed."""

import asyncio
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from billfold import errors
from billfold_server.keys import administration
from billfold_server.keys.service import (
    Backends,
    Keyring,
    Keys,
    KeyStore,
    KeyStoreUnsuitable,
    LocalBackend,
    Place,
    SealBroken,
    check_store,
    create_database,
    prepare_store,
    same_database,
)
from tests.keystores import Owner, StoreUrls
from tests.postgres import query

PLACE = Place("parties", "pty_1", "email")


def keys_of(dsn: str, keyring: Keyring) -> Keys:
    """Return keys as a process with this keyring has them."""
    store = KeyStore(dsn)
    return Keys(store, Backends(LocalBackend(keyring, store)))


class TestAKeyStore:
    async def test_is_set_up_once_by_many(self, database: str) -> None:
        """Four that start at once set one store up, and a later start finds it so."""
        with pytest.raises(KeyStoreUnsuitable):
            await check_store(database)
        keyring = Keyring(b"k" * 32)
        dsns = await asyncio.gather(*(prepare_store(database, keyring) for _ in range(4)))
        assert {*dsns, await prepare_store(database, keyring)} == {dsns[0]}
        await check_store(dsns[0])

    async def test_serves_older_servers_and_no_newer_ones(self, database: str) -> None:
        """While servers are renewed one after the other, the newest has set it up; one that it is too old for waits."""
        dsn = await prepare_store(database, Keyring(b"k" * 32))
        table = "billfold_keys.schema_version"
        query(database, f"INSERT INTO {table} SELECT max(number) + 1, now() FROM {table}")  # noqa: S608
        query(database, "CREATE TABLE billfold_keys.of_tomorrow (x int)")
        await check_store(dsn)
        # Also one that may set stores up, which leaves this one as it is.
        assert await prepare_store(database, Keyring(b"k" * 32)) == dsn
        given = (
            "SELECT has_table_privilege(oid, 'billfold_keys.of_tomorrow', 'SELECT') FROM pg_roles WHERE rolname = $1"
        )
        assert not query(database, given, urlsplit(dsn).username)[0][0]
        for adopt in (False, True):
            with pytest.raises(KeyStoreUnsuitable):
                await prepare_store(database, Keyring(b"l" * 32), adopt=adopt)
        query(database, f"DELETE FROM {table} WHERE number > 1")  # noqa: S608
        with pytest.raises(KeyStoreUnsuitable):
            await check_store(dsn)

    async def test_belongs_to_one_keyring(self, database: str) -> None:
        """Another keyring is refused, and whoever has the right one goes on."""
        dsn = await prepare_store(database, Keyring(b"k" * 32))
        with pytest.raises(KeyStoreUnsuitable):
            await prepare_store(database, Keyring(b"l" * 32))
        await check_store(dsn)

    async def test_starts_anew_with_another_keyring_when_the_first_is_lost(self, database: str) -> None:
        """What the lost one wrapped never opens again, and what is sealed from now on has keys of its own."""
        owner, subject = Owner(uuid4()), uuid4()
        before = keys_of(await prepare_store(database, Keyring(b"k" * 32)), Keyring(b"k" * 32))
        old = (await before.sealer(owner, subject)).seal(PLACE, b"x")
        digest = (await before.fingerprinter(owner, "cards")).digests(b"x")[0]
        await before.close()
        after = keys_of(await prepare_store(database, Keyring(b"l" * 32), adopt=True), Keyring(b"l" * 32))
        new = (await after.sealer(owner, subject)).seal(PLACE, b"y")
        opener = await after.opener(owner, [old, new])
        assert opener.open(PLACE, new) == b"y"
        with pytest.raises(SealBroken):
            opener.open(PLACE, old)
        (again,) = (await after.fingerprinter(owner, "cards")).digests(b"x")
        assert (again.version, again.digest == digest.digest) == (2, False)
        await after.close()

    async def test_forgets_whose_keys_were_lost_with_a_keyring(self, database: str) -> None:
        """They are forgotten like anybody else: what they had sealed never opens, and they get no other key."""
        owner, subject = Owner(uuid4()), uuid4()
        before = keys_of(await prepare_store(database, Keyring(b"k" * 32)), Keyring(b"k" * 32))
        old = (await before.sealer(owner, subject)).seal(PLACE, b"x")
        await before.close()
        after = keys_of(await prepare_store(database, Keyring(b"l" * 32), adopt=True), Keyring(b"l" * 32))
        await after.forget(owner, [subject], reason="erasure request")
        with pytest.raises(errors.SubjectForgotten):
            await after.sealer(owner, subject)
        with pytest.raises((errors.SubjectForgotten, SealBroken)):
            (await after.opener(owner, [old])).open(PLACE, old)
        await after.close()

    async def test_lets_the_login_that_serves_read_and_write_rows_alone(self, key_store_urls: StoreUrls) -> None:
        """It makes, changes and drops no table, and doesn't see which keyring the store belongs to."""
        connection = await asyncpg.connect(key_store_urls.own, server_settings={"search_path": "billfold_keys"})
        for attempt in (
            "CREATE TABLE mine (x int)",
            "CREATE TEMPORARY TABLE mine (x int)",
            "ALTER TABLE key_epochs ADD COLUMN x int",
            "DROP TABLE evictions",
            "TRUNCATE subject_keys",
            "SELECT * FROM store",
            "UPDATE schema_version SET number = 0",
            "CREATE ROLE mine",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(attempt)
        await connection.close()

    async def test_is_told_from_the_tenants_database_by_itself(self, database: str, postgres_dsn: str) -> None:
        """One database is the same under another name of its host, and another one in the same PostgreSQL isn't."""
        assert await same_database(database, database.replace("127.0.0.1", "localhost"))
        assert not await same_database(database, postgres_dsn)

    async def test_that_stops_answering_is_unavailable(self, database: str) -> None:
        """Whatever it was asked while it was set up."""
        with pytest.raises(errors.KeysUnavailable):
            async with administration._connect(database) as connection:
                await connection.fetchval("SELECT pg_sleep(60)", timeout=0.05)

    async def test_that_ends_in_a_transaction_is_unavailable(self, database: str) -> None:
        """Though the driver complains of how the transaction ends."""
        with pytest.raises(errors.KeysUnavailable):
            async with administration._connect(database) as connection, connection.transaction():
                await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    async def test_is_made_beside_a_database_by_who_may(self, database: str) -> None:
        """Made once, found again; a role that may make no databases is told so."""
        name = f"{database.rpartition('/')[2].partition('?')[0]}_keys"
        assert await create_database(database, name)
        assert await create_database(database, name)
        query(database, f'DROP DATABASE "{name}"')
        role = f"plain_{uuid4().hex[:8]}"
        query(database, f"CREATE ROLE {role} LOGIN PASSWORD 'q7Jd02kfh3'")
        try:
            plain = f"postgresql://{role}:q7Jd02kfh3@{database.partition('@')[2]}"
            assert not await create_database(plain, name)
        finally:
            query(database, f"DROP ROLE {role}")
