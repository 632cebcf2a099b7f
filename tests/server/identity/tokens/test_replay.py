"""What may be shown once: remembered by all workers, across restarts, and no longer than it would be believed."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from billfold import errors
from billfold.clock import SystemClock
from billfold_server.identity.realms import Realm, realm_of
from billfold_server.identity.tokens.replay import Replay, first_use
from billfold_server.tenancy.transaction import Database
from tests.tenants import SECRET, Tenancy

NOW = datetime.now(UTC)
# Later than the whole run, of which this is the beginning.
LATER = NOW + timedelta(hours=12)


@pytest.fixture
def realm(tenancy: Tenancy) -> Realm:
    """The tenant's realm."""
    return realm_of("https://wallet.example", tenancy.tenant)


@pytest.fixture
def replay(tenancy: Tenancy) -> Replay:
    """What one worker remembers by."""
    return Replay(tenancy.database, SystemClock())


class TestAFirstUse:
    async def test_is_one_of_a_thousand_at_a_time(self, tenancy, replay, realm) -> None:
        """Of a thousand copies that come to two workers at the same instant, one is the first."""
        other = Database(tenancy.runtime_dsn, deployment_secret=SECRET)
        workers = [replay, Replay(other, SystemClock())]
        try:
            uses = [workers[n % 2].first_use(realm, "dpop", "key", "same", LATER) for n in range(1000)]
            assert sorted(await asyncio.gather(*uses)) == [False] * 999 + [True]
        finally:
            await other.close()

    async def test_is_remembered_after_a_restart(self, tenancy, replay, realm) -> None:
        """Nothing is kept in a process: another one that has just begun knows what was shown."""
        assert await replay.first_use(realm, "dpop", "key", "one", LATER)
        other = Database(tenancy.runtime_dsn, deployment_secret=SECRET)
        try:
            assert not await Replay(other, SystemClock()).first_use(realm, "dpop", "key", "one", LATER)
        finally:
            await other.close()

    async def test_is_told_from_copies_that_come_with_it(self, replay, realm) -> None:
        """What was shown before spoils nothing for what is new and written together with it, which is remembered."""
        assert await replay.first_use(realm, "dpop", "key", "known", LATER)
        names = ["new", "known", "newer", "new"]
        uses = [replay.first_use(realm, "dpop", "key", name, LATER) for name in names]
        assert await asyncio.gather(*uses) == [True, False, True, False]
        again = [replay.first_use(realm, "dpop", "key", name, LATER) for name in ("new", "newer")]
        assert await asyncio.gather(*again) == [False, False]

    async def test_is_for_one_purpose_owner_and_realm(self, tenancy, replay, realm) -> None:
        """The same id of another owner, for another purpose, at another tenant or at the platform is another thing."""
        beta = realm_of("https://wallet.example", await tenancy.add("beta"))
        platform = realm_of("https://wallet.example", None)
        places = [(realm, "dpop", "a"), (realm, "dpop", "b"), (realm, "assertion", "a"), (beta, "dpop", "a")]
        places.append((platform, "dpop", "a"))
        # What stands at the border of two parts belongs to one of them.
        places += [(realm, "dp", "opa"), (realm, "dpopa", "")]
        assert all([await replay.first_use(*place, "one", LATER) for place in places])
        assert not any([await replay.first_use(*place, "one", LATER) for place in places])

    async def test_in_a_transaction_is_none_if_that_fails(self, tenancy, realm, replay) -> None:
        """What a transaction remembers is forgotten with it; what it commits is known to everybody."""
        with pytest.raises(ZeroDivisionError):
            async with tenancy.database.tx(tenancy.tenant) as tx:
                assert await first_use(tx, "dpop", "key", "one", LATER)
                raise ZeroDivisionError
        async with tenancy.database.tx(tenancy.tenant) as tx:
            assert await first_use(tx, "dpop", "key", "one", LATER)
            assert not await first_use(tx, "dpop", "key", "one", LATER)
        assert not await replay.first_use(realm, "dpop", "key", "one", LATER)

    async def test_is_none_without_the_database(self, realm) -> None:
        """Who can't remember doesn't believe: everybody who waits is told, and the next one is asked anew."""
        broken = Replay(Database("postgresql://nobody@127.0.0.1:1/none", deployment_secret=SECRET), SystemClock())
        uses = [broken.first_use(realm, "dpop", "key", str(n), LATER) for n in range(3)]
        told = await asyncio.gather(*uses, return_exceptions=True)
        assert {type(each) for each in told} == {errors.DatabaseUnavailable}
        with pytest.raises(errors.DatabaseUnavailable):
            await broken.first_use(realm, "dpop", "key", "0", LATER)


class TestWhatHasExpired:
    async def test_is_forgotten_by_those_who_add(self, tenancy, replay, realm) -> None:
        """A batch takes away what nobody would believe any more, and nothing that somebody would."""
        old = NOW - timedelta(hours=1)
        async with tenancy.database.tx(tenancy.tenant) as tx:
            for number in range(3):
                assert await first_use(tx, "dpop", "key", f"old {number}", old)
            assert await first_use(tx, "dpop", "key", "young", LATER)
        assert await replay.first_use(realm, "dpop", "key", "new", LATER)
        # The writer answers first and sweeps then; a second use waits for it.
        assert await replay.first_use(realm, "dpop", "key", "newer", LATER)
        async with tenancy.database.tx(tenancy.tenant) as tx:
            assert await tx.fetchval("SELECT count(*) FROM seen_tokens") == 3
            assert await tx.fetchval("SELECT min(expires_at) FROM seen_tokens") > NOW
