"""What a rail says, however it says it: money moves once, and nothing that was said is lost."""

import asyncio
import os
import signal
import sqlite3
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billfold import errors, ids
from billfold.contract.ledger import ReverseJournalEntry
from billfold.contract.payments import PaymentBreak, PaymentStatus
from billfold.ids import Prefix
from billfold_server.audit.service import list_records
from billfold_server.connectors.service import WORDS, Notice, Report, SimulatedRail, Word
from billfold_server.connectors.simulator.address import folder_of, read
from billfold_server.db.jobs import JobKinds, JobRun, NewJob, enqueue
from billfold_server.db.runner import JobRunner
from billfold_server.ledger import kinds as ledger_kinds
from billfold_server.payments import rules, service, tasks
from billfold_server.payments.kinds import UNCLAIMED, Heard
from billfold_server.serving.on_demand import OnDemand
from billfold_server.serving.supervisor import SIMULATOR
from billfold_server.settings import Settings
from billfold_server.tenancy.clock import tenant_now
from tests.server.payments.desk import OPENED_MINOR, Desk

GONE = (OPENED_MINOR - 1_000, 0, 0, 1_000, 0)
BACK = (OPENED_MINOR, 0, 0, 0, 0)
EAST = timezone(timedelta(hours=14))
UNDER_WAY = (OPENED_MINOR - 1_000, 0, 1_000, 0, 0)
PARKED = (OPENED_MINOR - 1_000, 0, 0, 0, 1_000)


def said(*words: Word, reason: str | None = None) -> Report:
    """Return what a rail has said so far."""
    notices = tuple(Notice(id=f"n{place}", word=word, reason=reason) for place, word in enumerate(words))
    return Report(reference="REF1", notices=notices)


class TestARailThatAnswers:
    @pytest.mark.parametrize(
        ("words", "status", "balances"),
        [
            (("accept", "settle"), "ACSC", GONE),
            (("accept", "settle", "credit"), "ACCC", GONE),
            (("change", "credit"), "ACCC", GONE),
            (("accept",), "ACSP", UNDER_WAY),
            (("change",), "ACWC", UNDER_WAY),
            (("pending",), "ACCP", UNDER_WAY),
            (("reject",), "RJCT", BACK),
            (("accept", "cancel"), "CANC", BACK),
            (("accept", "block"), "BLCK", PARKED),
        ],
    )
    async def test_moves_the_payment_and_its_money(
        self, desk: Desk, words: tuple[Word, ...], status: str, balances: tuple[int, ...]
    ) -> None:
        """The order is given once, and what is said of it takes the money on or brings it back."""
        payment_id = await desk.pay()
        desk.rail.said = said(*words)
        assert await desk.turn(payment_id)
        row = await desk.payment(payment_id)
        assert (row.status, row.rail_reference, desk.rail.given) == (status, "REF1", 1)
        assert await desk.balances() == balances
        await desk.check()

    async def test_says_why_it_rejects(self, desk: Desk) -> None:
        """The reason is the payment's, and the money comes back by an entry that reverses the first."""
        payment_id = await desk.pay()
        desk.rail.said = said("reject", reason="AC04")
        await desk.turn(payment_id)
        row = await desk.payment(payment_id)
        async with desk.bank.tx() as tx:
            reverses = await tx.fetchval("SELECT reverses FROM journal_entries WHERE id = $1", row.closing_entry_id)
        assert (row.reason, reverses) == ("AC04", row.journal_entry_id)
        (shown,) = await service.show(desk.bank.services, desk.tenant, [row])
        assert (shown.status_reason, shown.creditor_name, shown.steps[-1].word) == ("AC04", "Grace Hopper", "reject")

    async def test_is_asked_once_more_after_the_end(self, desk: Desk) -> None:
        """A day later it is asked whether it still says so, and then no more."""
        payment_id = await desk.pay()
        desk.rail.said = said("settle")
        await desk.turn(payment_id)
        assert await desk.turn(payment_id)
        assert (desk.rail.given, desk.rail.asked) == (1, 1)
        assert not await desk.turn(payment_id)


class TestARailThatAnswersOtherwise:
    async def test_late_moves_the_money_when_it_does(self, desk: Desk) -> None:
        """Until it has said what became of it, the money is under way."""
        payment_id = await desk.pay()
        desk.rail.said = said("accept")
        await desk.turn(payment_id)
        await desk.turn(payment_id)
        assert await desk.balances() == UNDER_WAY
        desk.rail.said = said("accept", "settle")
        await desk.turn(payment_id)
        assert await desk.balances() == GONE
        await desk.check()

    async def test_twice_moves_it_once(self, desk: Desk) -> None:
        """The same words again, as other notices or the same ones, are written down and change nothing."""
        payment_id = await desk.pay()
        desk.rail.said = said("accept", "accept", "settle", "settle")
        await desk.turn(payment_id)
        await desk.hear(payment_id, desk.rail.said)
        assert [step.effect for step in await desk.steps(payment_id)][3:] == ["moves", "repeats", "moves", "repeats"]
        assert await desk.balances() == GONE
        assert (await desk.payment(payment_id)).needs is None
        await desk.check()

    @pytest.mark.parametrize(("words", "balances"), [(("settle", "reject"), GONE), (("reject", "settle"), BACK)])
    async def test_in_contradiction_has_somebody_look_at_it(
        self, desk: Desk, words: tuple[Word, ...], balances: tuple[int, ...]
    ) -> None:
        """The first word counts, the second is written down, and the payment says that it needs somebody."""
        payment_id = await desk.pay()
        desk.rail.said = said(*words)
        await desk.turn(payment_id)
        row = await desk.payment(payment_id)
        assert row.needs is PaymentBreak.CONTRADICTION
        assert [step.effect for step in await desk.steps(payment_id)][3:] == ["moves", "contradicts"]
        assert await desk.balances() == balances
        async with desk.bank.tx() as tx:
            assert [each.id for each in await service.list_payments(tx, limit=5, needs_attention=True)] == [row.id]
        await desk.check()

    async def test_not_at_all_is_asked_again_and_again_while_people_are_told(self, desk: Desk) -> None:
        """Nobody guesses: the money stays where it is until somebody looks, or the rail speaks after all."""
        payment_id = await desk.pay()
        desk.rail.said = None
        for _ in rules.WAITS:
            assert (await desk.payment(payment_id)).needs is None
            assert await desk.turn(payment_id)
        row = await desk.payment(payment_id)
        assert (row.needs, row.status) == (PaymentBreak.SILENCE, PaymentStatus.APPROVED)
        assert await desk.turn(payment_id)
        # It is said once, and what has no job any more is given one, too.
        assert (await desk.payment(payment_id)).steps == row.steps
        async with desk.bank.tx() as tx:
            await tx.execute("DELETE FROM jobs")
            await service.plan_missing_turns(tx)
        assert await desk.balances() == UNDER_WAY
        await desk.check()
        desk.rail.said = said("settle")
        assert await desk.turn(payment_id)
        assert (await desk.payment(payment_id)).needs is None
        assert await desk.balances() == GONE
        await desk.check()

    async def test_after_it_has_lost_the_order_is_given_it_again(self, desk: Desk) -> None:
        """An order that it doesn't know of is given again, under the same key."""
        payment_id = await desk.pay()
        desk.rail.loses, desk.rail.said = 1, said("settle")
        await desk.turn(payment_id)
        assert await desk.balances() == UNDER_WAY
        await desk.turn(payment_id)
        assert (desk.rail.given, desk.rail.asked, len(desk.rail.orders)) == (2, 1, 1)
        assert await desk.balances() == GONE

    async def test_waits_longer_each_time(self, desk: Desk) -> None:
        """The turns of a silent rail come later and later, on the tenant's clock."""
        payment_id = await desk.pay()
        desk.rail.said = None
        for silences in range(1, 3):
            await desk.turn(payment_id)
            async with desk.bank.tx() as tx:
                due = await tx.fetchval("SELECT max(due_at) FROM jobs WHERE kind = 'payments.ask'")
            assert rules.WAITS[silences] - timedelta(seconds=30) < due - await desk.now() <= rules.WAITS[silences]


class TestASlowRail:
    async def test_delays_no_other_job_of_its_tenant(self, desk: Desk) -> None:
        """While it thinks, the visit ends and others are served; what it says in the end counts."""
        payment_id, served, answers = await desk.pay(), asyncio.Event(), asyncio.Event()
        desk.rail.said, desk.rail.answers = said("settle"), answers
        kinds = JobKinds()
        tasks.register(kinds, desk.bank.services)

        async def serve(_: JobRun) -> None:
            served.set()

        kinds.register("other", serve)
        runner = JobRunner(desk.bank.tenancy.database, kinds)
        async with desk.bank.tx() as tx:
            await enqueue(tx, NewJob(id=ids.uuid7(), kind="other", due_at=await tenant_now(tx)))
        async with asyncio.timeout(30):
            await runner.run(desk.tenant)
        assert (served.is_set(), (await desk.payment(payment_id)).status) == (True, PaymentStatus.APPROVED)
        answers.set()
        await runner.settle()
        assert await desk.balances() == GONE


class TestAWorkerThatDies:
    async def test_between_giving_the_order_and_writing_it_down_gives_it_once(self, desk: Desk) -> None:
        """Whoever does the turn next asks first, and hears what has become of it."""
        payment_id = await desk.pay()
        desk.rail.said = said("settle")
        row = await desk.payment(payment_id)
        texts = (await service.open_texts(desk.bank.services, desk.tenant, [payment_id]))[payment_id]
        await desk.rail.submit(service.instruction_of(row, texts))
        assert await desk.balances() == UNDER_WAY
        await desk.turn(payment_id, attempt=2)
        assert (desk.rail.given, desk.rail.asked) == (1, 1)
        assert await desk.balances() == GONE
        await desk.check()

    async def test_after_writing_it_down_changes_nothing_by_the_turn_s_second_end(self, desk: Desk) -> None:
        """A turn that is recorded twice counts once, and plans one next turn."""
        payment_id = await desk.pay()
        for _ in range(2):
            await desk.hear(payment_id, said("accept"), turn=0)
        row = await desk.payment(payment_id)
        assert (row.turn, row.steps) == (1, 4)
        assert sorted(await desk.turns(payment_id)) == [0, 1]


class TestMoneyThatCannotGoBack:
    async def test_waits_for_somebody_where_the_wallet_is_frozen(self, desk: Desk) -> None:
        """It is nobody's until somebody decides; clearing holds what is under way and no more."""
        payment_id = await desk.pay()
        await desk.freeze()
        desk.rail.said = said("reject")
        await desk.turn(payment_id)
        row = await desk.payment(payment_id)
        assert (row.status, row.needs, row.money) == (
            PaymentStatus.REJECTED,
            PaymentBreak.NOT_RETURNED,
            "suspense",
        )
        assert await desk.balances() == PARKED
        await desk.check()

    @pytest.mark.parametrize("word", ["settle", "reject", "block"])
    async def test_is_left_alone_where_somebody_has_undone_the_entry(self, desk: Desk, word: Word) -> None:
        """What staff has given back by hand isn't moved again, and the payment says so."""
        payment_id = await desk.pay()
        await desk.undo_by_hand(payment_id)
        desk.rail.said = said(word)
        await desk.turn(payment_id)
        assert (await desk.payment(payment_id)).needs is PaymentBreak.REVERSED_BY_HAND
        status = (await desk.payment(payment_id)).status
        for outcome in ("settled", "returned"):
            assert isinstance(await desk.resolve(payment_id, outcome), errors.PaymentNotResolvable)
        assert await desk.resolve(payment_id, "noted") is None
        row = await desk.payment(payment_id)
        assert (row.needs, row.status) == (None, status)
        assert await desk.balances() == BACK
        await desk.check()

    async def test_is_closed_as_returned_where_its_rail_says_nothing(self, desk: Desk) -> None:
        """What staff has given back is back; a rail that then says that it has settled needs somebody, once more."""
        payment_id = await desk.pay()
        await desk.undo_by_hand(payment_id)
        desk.rail.said = None
        for _ in rules.WAITS:
            await desk.turn(payment_id)
        for outcome in ("settled", "noted"):
            assert isinstance(await desk.resolve(payment_id, outcome), errors.PaymentNotResolvable)
        assert await desk.resolve(payment_id, "returned") is None
        row = await desk.payment(payment_id)
        assert (row.needs, row.status) == (None, "RJCT")
        await desk.hear(payment_id, said("settle"))
        assert (await desk.payment(payment_id)).needs is PaymentBreak.CONTRADICTION
        assert await desk.resolve(payment_id, "noted") is None
        assert await desk.balances() == BACK
        await desk.check()


class TestAPaymentWhoseMoneyHasMovedOn:
    @pytest.mark.parametrize("words", [("settle",), ("block",), ("reject",)])
    async def test_is_undone_by_hand_by_none_of_its_entries(self, desk: Desk, words: tuple[Word, ...]) -> None:
        """Clearing and suspense have the money of others as well, who would lack what it was paid."""
        others = [await desk.pay(), await desk.pay()]
        await desk.hear(others[1], said("block"))
        payment_id = await desk.pay()
        await desk.hear(payment_id, said(*words))
        before = await desk.balances()
        row = await desk.payment(payment_id)
        for entry_id in (row.journal_entry_id, row.closing_entry_id):
            assert entry_id is not None
            answer = await desk.bench.submit(
                ledger_kinds.REVERSE_JOURNAL_ENTRY,
                ledger_kinds.Reversal(entry_id, ReverseJournalEntry(reason="by hand")),
            )
            assert type(answer.error) is errors.EntryNotReversible
        assert await desk.balances() == before
        await desk.hear(others[0], said("settle"))
        assert await desk.resolve(others[1], "returned") is None
        await desk.check()


class TestARailThatSaysTooMuch:
    async def test_is_heard_as_far_as_it_can_be_written_down(self, desk: Desk) -> None:
        """Whatever its words hold, they count, each once, and none is taken for another one."""
        payment_id = await desk.pay()
        long = "x" * 5_000
        notices = (
            Notice(id=f"{long}1", word="accept", reason=long, at=datetime.max),  # noqa: DTZ901
            Notice(id=f"{long}2\0", word="settle", reason="A\0B", at=datetime.min.replace(tzinfo=EAST)),
        )
        desk.rail.said = Report(reference=f"{long}\0", notices=notices)
        assert await desk.turn(payment_id)
        await desk.hear(payment_id, desk.rail.said)
        row = await desk.payment(payment_id)
        assert (row.status, row.reason, row.rail_reference) == (PaymentStatus.SETTLED, "A B", "x" * 200)
        told = (await desk.steps(payment_id))[3:]
        assert [(step.word, step.said_at) for step in told] == [("accept", None), ("settle", None)]
        assert await desk.balances() == GONE
        await desk.check()

    async def test_gives_no_reason_by_nothing(self, desk: Desk) -> None:
        """An empty text is no code, which third parties are told by four characters, nor does it rename anything."""
        payment_id = await desk.pay()
        await desk.hear(payment_id, said("accept"))
        empty = Notice(id="empty", word="settle", reason=" ")
        await desk.hear(payment_id, Report(reference="", notices=(empty,)))
        row = await desk.payment(payment_id)
        assert (row.status, row.reason, row.rail_reference) == (PaymentStatus.SETTLED, None, "REF1")


REPORTS = st.lists(
    st.tuples(st.sampled_from(WORDS), st.integers(0, 5), st.booleans()),
    min_size=1,
    max_size=12,
)


class TestWhateverARailSays:
    @settings(
        max_examples=12,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(lives=st.lists(REPORTS, min_size=6, max_size=6))
    async def test_conserves_the_money(self, desk: Desk, lives: list[list[tuple[Word, int, bool]]]) -> None:
        """Words in any order, again and again, asked for or not: each payment's money is in exactly one place."""
        before = await desk.balances()
        payments = [await desk.pay() for _ in lives]
        for payment_id, life in zip(payments, lives, strict=True):
            expected = PaymentStatus.APPROVED
            heard: set[str] = set()
            for word, number, is_asked in life:
                turn = (await desk.payment(payment_id)).turn if is_asked else None
                notice = Notice(id=f"{word}{number}", word=word)
                await service.hear(
                    desk.bank.services,
                    desk.tenant,
                    Heard(payment_id=payment_id, turn=turn, report=Report(notices=(notice,))),
                )
                if notice.id not in heard and rules.effect_of(expected, word) == "moves":
                    expected = rules.PAYMENT_STATES[expected, _event(word)]
                heard.add(notice.id)
            assert (await desk.payment(payment_id)).status is expected
        after = await desk.balances()
        assert sum(after) == sum(before)
        await desk.check()


def _event(word: Word) -> rules.Event:
    assert word != "pending"
    return word


class TestAPaymentWithoutATurn:
    async def test_is_given_one(self, desk: Desk) -> None:
        """A turn whose job is gone is planned anew, and no other one twice; what has ended gets none."""
        lost, planned, over = [await desk.pay() for _ in range(3)]
        desk.rail.said = said("reject")
        await desk.turn(over)
        async with desk.bank.tx() as tx:
            await tx.execute("DELETE FROM jobs WHERE payload::text LIKE $1", f"%{ids.encode(Prefix.PAYMENT, lost)}%")
        for _ in range(2):
            async with desk.bank.tx() as tx:
                assert await service.plan_missing_turns(tx) is None
        assert [await desk.turns(each) for each in (lost, planned, over)] == [[0], [0], [0, 1]]


class TestASimulatorThatDies:
    async def test_before_its_answer_is_written_down_is_asked_by_the_next_turn(
        self, desk: Desk, tmp_path: Path
    ) -> None:
        """It was killed with the order on its disk: nobody gives the order again, and the money goes once."""
        process = OnDemand(Settings(data_dir=str(tmp_path)), SIMULATOR)
        rail = SimulatedRail(folder_of(tmp_path))
        rail.wake = process.wake
        try:
            desk.bank.services.rooms[service.ROOM].rail = rail
            payment_id = await desk.pay()
            row = await desk.payment(payment_id)
            texts = (await service.open_texts(desk.bank.services, desk.tenant, [payment_id]))[payment_id]
            await rail.submit(service.instruction_of(row, texts))
            told = read(folder_of(tmp_path))
            assert told is not None
            os.kill(told.pid, signal.SIGKILL)
            await desk.turn(payment_id, attempt=2)
            async with asyncio.timeout(60):
                while read(folder_of(tmp_path)) == told:
                    await asyncio.sleep(0.02)
            while (await desk.payment(payment_id)).status is PaymentStatus.APPROVED:
                assert await desk.turn(payment_id)
            said_so = [step.word for step in await desk.steps(payment_id)]
        finally:
            await rail.aclose()
            await asyncio.to_thread(process.stop)
        assert said_so[3:] == ["accept", "settle"]
        assert (await desk.balances())[:3] == GONE[:3]
        orders = sqlite3.connect(folder_of(tmp_path) / "orders.sqlite")
        assert orders.execute("SELECT count(*), sum(submissions) FROM orders").fetchone() == (1, 1)
        orders.close()
        await desk.check()


class TestAPaymentThatNeedsSomebody:
    @pytest.mark.parametrize(
        ("words", "outcome", "status", "balances"),
        [
            ((), "settled", "ACSC", GONE),
            ((), "returned", "RJCT", BACK),
            (("accept", "block"), "settled", "ACSC", GONE),
            (("accept", "block"), "returned", "RJCT", BACK),
            (("settle", "reject"), "noted", "ACSC", GONE),
            (("reject", "settle"), "noted", "RJCT", BACK),
        ],
    )
    async def test_is_resolved_by_what_somebody_has_found_out(
        self, desk: Desk, words: tuple[Word, ...], outcome: str, status: str, balances: tuple[int, ...]
    ) -> None:
        """Money that waits goes where it belongs, once; that, and why, is in the audit."""
        payment_id = await desk.pay()
        desk.rail.said = said(*words) if words else None
        for _ in rules.WAITS[: 1 if words else None]:
            await desk.turn(payment_id)
        assert (await desk.payment(payment_id)).needs is not None
        assert await desk.resolve(payment_id, outcome) is None
        row = await desk.payment(payment_id)
        assert (row.needs, row.status) == (None, status)
        assert await desk.balances() == balances
        await desk.check()
        async with desk.bank.tx() as tx:
            (record,) = await list_records(tx, action="payment.resolved")
        assert (record.object_id, record.reason) == (row.wire_id, "The bank's statement shows it")
        assert isinstance(await desk.resolve(payment_id, outcome), errors.PaymentNotResolvable)

    @pytest.mark.parametrize(("outcome", "reason"), [("settled", None), ("returned", "FRAD")])
    async def test_isnt_said_to_be_blocked_once_it_has_left(self, desk: Desk, outcome: str, reason: str | None) -> None:
        """Why a rail has blocked it is why it has come back, and no reason for its having settled after all."""
        payment_id = await desk.pay()
        await desk.hear(payment_id, said("block", reason="FRAD"))
        assert (await desk.payment(payment_id)).reason == "FRAD"
        assert await desk.resolve(payment_id, outcome) is None
        assert (await desk.payment(payment_id)).reason == reason

    async def test_is_given_back_once_its_wallet_takes_money_again(self, desk: Desk) -> None:
        """What was rejected can't have left, and no frozen wallet is paid."""
        payment_id = await desk.pay()
        await desk.freeze()
        await desk.hear(payment_id, said("reject"))
        for outcome in ("settled", "noted", "returned"):
            assert isinstance(await desk.resolve(payment_id, outcome), errors.PaymentNotResolvable)
        await desk.freeze("unfreeze")
        assert await desk.resolve(payment_id, "returned") is None
        assert await desk.balances() == BACK
        await desk.check()

    @pytest.mark.parametrize("words", [("reject",), ("block",), ()])
    async def test_is_owed_to_its_payer_where_the_wallet_was_closed(self, desk: Desk, words: tuple[Word, ...]) -> None:
        """Who has paid all they had may close their wallet; what comes back then is the bank's to pay out by hand."""
        payment_id = await desk.pay(OPENED_MINOR)
        await desk.freeze("close")
        desk.rail.said = said(*words) if words else None
        for _ in rules.WAITS[: 1 if words else None]:
            await desk.turn(payment_id)
        assert (await desk.payment(payment_id)).needs is not None
        assert await desk.resolve(payment_id, "returned") is None
        row = await desk.payment(payment_id)
        assert (row.needs, row.status, row.money) == (None, "RJCT", "returned")
        async with desk.bank.tx() as tx:
            chart = await desk.bench.chart(tx)
        assert chart[UNCLAIMED, "EUR"].balance_minor == OPENED_MINOR
        assert await desk.balances() == (0, 0, 0, 0, 0)
        await desk.check()
