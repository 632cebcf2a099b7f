"""What a process remembers of ledgers between batches."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from billfold import chain
from billfold_server.ledger.memory import Known, Memory, Place, StoredAnswer
from billfold_server.tenancy.clock import ClockReading
from billfold_server.wallets.rows import PartyRow
from tests.server.ledger.books import Bench, open_engine
from tests.tenants import Tenancy

A, B, C = (UUID(int=number) for number in range(3))
THEN = datetime(2026, 1, 1, tzinfo=UTC)
PLACE = Place(sequence=1, revision=1, fence=UUID(int=1), recorded_at=THEN, effective_high=THEN, head=chain.START)


def filled(memory: Memory, tenant: UUID, rows: int) -> Known:
    """Let a tenant's ledger be known by so many rows."""
    known = memory.of(tenant)
    known.place = PLACE
    known.rows[PartyRow] = {number: PartyRow(UUID(int=number)) for number in range(rows)}
    memory.used(tenant)
    return known


def stored(number: int) -> StoredAnswer:
    """Return what is kept under the key of that number."""
    return StoredAnswer(client_id=A, key=str(number), fingerprint=bytes(32), status=201, body=b"{}", created_at=THEN)


class TestWhatIsRemembered:
    """What is remembered."""

    def test_is_forgotten_where_it_was_used_least_lately(self) -> None:
        """A tenant that rests makes room for one that doesn't."""
        memory = Memory(10)
        a, b = filled(memory, A, 4), filled(memory, B, 4)
        memory.used(A)
        c = filled(memory, C, 4)
        assert [len(known) for known in (a, b, c)] == [4, 0, 4]
        assert b.place is None

    def test_tells_the_time_by_the_latest_look_of_any_tenant(self) -> None:
        """How far its clock is from the real one is a tenant's own; where nothing is known of it, no time is."""
        memory = Memory(10)
        known = filled(memory, A, 1)
        known.clock = ClockReading(60_000_000, None, THEN, 5.0, 0.25)
        memory.reading = ClockReading(0, None, THEN + timedelta(seconds=100), 105.5, 0.5)
        clock = memory.of(A).clock
        assert clock == ClockReading(60_000_000, None, THEN + timedelta(seconds=100), 105.5, 0.5)
        assert clock.now(107.5) == THEN + timedelta(seconds=162)
        memory.reading = ClockReading(0, None, THEN, 90.0, 0.0)
        assert memory.of(A).clock is clock
        assert memory.of(B).clock is None

    def test_is_never_more_than_the_limit(self) -> None:
        """A tenant that alone is too large is forgotten, too."""
        memory = Memory(10)
        assert len(filled(memory, A, 11)) == 0
        assert len(filled(memory, A, 10)) == 10
        assert len(filled(memory, A, 3)) == 3
        assert len(filled(memory, B, 7)) == 7
        assert len(memory.of(A)) == 3

    def test_is_the_latest_answers_and_those_that_are_asked_for_again(self) -> None:
        """Answers of late are told, older ones as long as they come up, and none from before a certain time."""
        known = Known()
        answers = [stored(number) for number in range(10_000)]
        for answer in answers:
            known.remember([answer])
            assert len(known.answers_to([(A, "0")], THEN)) == 1
        asked = [(A, str(number)) for number in (0, 1, 9_999)]
        assert [key for _, key in known.answers_to(asked, THEN)] == ["0", "9999"]
        assert len(known) < 5_000
        assert known.answers_to(asked, THEN + timedelta(seconds=1)) == {}

    @pytest.mark.parametrize("limit", [0, 1, 3, 1000])
    async def test_changes_no_answer(self, tenancy: Tenancy, limit: int) -> None:
        """Whatever the process may remember, the books are the same."""
        engine = open_engine(tenancy.database, max_known=limit)
        bench = Bench(engine, tenancy.database, tenancy.tenant)
        await bench.add_wallets(4)
        await bench.top_up(0, 100)
        for wallet in (1, 2, 3):
            await bench.transfer(0, wallet, 10)
        assert [await bench.balance(wallet) for wallet in range(4)] == [70, 10, 10, 10]
        await engine.close()
