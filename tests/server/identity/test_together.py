"""Looking things up together: who comes meanwhile is answered by the next query, and each sees what is committed."""

import asyncio
import contextvars
from collections.abc import Sequence
from typing import Any

import pytest

from billfold import errors
from billfold_server.db.engine import NestedTransactionError
from billfold_server.identity import together
from billfold_server.identity.realms import Realm, realm_of
from billfold_server.identity.together import Together
from billfold_server.tenancy.transaction import Database
from tests.apart import apart
from tests.parties import add_party
from tests.tenants import Tenancy


@pytest.fixture
def realm(tenancy: Tenancy) -> Realm:
    """The tenant's realm."""
    return realm_of("https://wallet.example", tenancy.tenant)


class Reading:
    """Tells to whoever asks how many parties there are, the first time once it may go on."""

    def __init__(self) -> None:
        self.has_begun, self.may_go = asyncio.Event(), asyncio.Event()
        self.asked: list[tuple[Any, list[str]]] = []

    async def read(self, tx: Any, wanted: Sequence[str]) -> dict[str, int]:
        """Return the same for each."""
        self.asked.append((tx, list(wanted)))
        found = await tx.fetchval("SELECT count(*) FROM parties")
        self.has_begun.set()
        await self.may_go.wait()
        return dict.fromkeys(wanted, found)


class TestThoseWhoComeMeanwhile:
    async def test_are_answered_by_the_next_query_of_the_same_transaction(
        self, tenancy: Tenancy, realm: Realm, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It sees what others have committed since the one before; who asks for the same waits for one answer."""
        monkeypatch.setattr(together, "_LONGEST_S", 60.0)
        reading = Reading()
        found = Together(tenancy.database, reading.read)
        first = asyncio.create_task(found.find(realm, "a"))
        await reading.has_begun.wait()
        rest = [asyncio.create_task(found.find(realm, key)) for key in ("b", "c", "b")]

        async def commit() -> None:
            async with tenancy.database.tx(tenancy.tenant) as tx:
                await add_party(tx)

        await apart(commit())
        reading.may_go.set()
        before, *after = await asyncio.gather(first, *rest)
        assert before is not None
        assert after == [before + 1] * 3
        (tx, one), (same, others) = reading.asked
        assert (one, others, same is tx) == (["a"], ["b", "c"], True)

    async def test_begin_anew_where_the_transaction_has_lasted(
        self, tenancy: Tenancy, realm: Realm, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """None is kept open for ever, however many come."""
        monkeypatch.setattr(together, "_LONGEST_S", 0.0)
        reading = Reading()
        found = Together(tenancy.database, reading.read)
        first = asyncio.create_task(found.find(realm, "a"))
        await reading.has_begun.wait()
        second = asyncio.create_task(found.find(realm, "b"))
        await asyncio.sleep(0)
        reading.may_go.set()
        assert await first == await second
        (one, _), (other, _) = reading.asked
        assert one is not other

    async def test_are_told_where_there_is_no_database(self, tenancy: Tenancy, realm: Realm) -> None:
        """Nobody waits for ever for a transaction that can't be begun."""
        away = Database(tenancy.runtime_dsn.replace("127.0.0.1", "127.0.0.2"))
        try:
            found: Together[str, int] = Together(away, Reading().read)
            async with asyncio.timeout(60):
                with pytest.raises(errors.DatabaseUnavailable):
                    await found.find(realm, "a")
        finally:
            await away.close()

    async def test_are_asked_for_again_where_a_query_has_failed(self, tenancy: Tenancy, realm: Realm) -> None:
        """Those whose query failed are told, and who came meanwhile is answered in a transaction of its own."""
        reading, failed = Reading(), ZeroDivisionError()

        async def read(tx: Any, wanted: Sequence[str]) -> dict[str, int]:
            found = await reading.read(tx, wanted)
            if "a" in wanted:
                raise failed
            return found

        found = Together(tenancy.database, read)
        first = asyncio.create_task(found.find(realm, "a"))
        await reading.has_begun.wait()
        second = asyncio.create_task(found.find(realm, "b"))
        await asyncio.sleep(0)
        reading.may_go.set()
        with pytest.raises(ZeroDivisionError):
            await first
        assert await second is not None

    async def test_have_nothing_of_who_has_come_first(self, tenancy: Tenancy, realm: Realm) -> None:
        """What is logged of a query for many is no single request's; who may not ask is refused alone."""
        request: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="nobody's")
        asked_by: list[str] = []

        async def read(_: Any, wanted: Sequence[str]) -> dict[str, int]:
            asked_by.append(request.get())
            return dict.fromkeys(wanted, 1)

        found = Together(tenancy.database, read)
        async with tenancy.database.tx(tenancy.tenant):
            within = asyncio.create_task(found.find(realm, "a"))
            request.set("somebody's")
            beside = apart(found.find(realm, "b"))
            assert await beside == 1
            with pytest.raises(NestedTransactionError):
                await within
        assert await found.find(realm, "a") == 1
        assert asked_by == ["nobody's"] * 2

    async def test_take_nobodys_answer_along_when_they_go_away(self, tenancy: Tenancy, realm: Realm) -> None:
        """One of two who ask for the same is cancelled, before its query or while that is on its way."""
        reading = Reading()
        found = Together(tenancy.database, reading.read)
        first = [asyncio.create_task(found.find(realm, "a")) for _ in range(2)]
        await reading.has_begun.wait()
        second = [asyncio.create_task(found.find(realm, "b")) for _ in range(2)]
        await asyncio.sleep(0)
        first[0].cancel()
        second[0].cancel()
        reading.may_go.set()
        assert await first[1] == await second[1]
        assert first[0].cancelled()
        assert second[0].cancelled()
