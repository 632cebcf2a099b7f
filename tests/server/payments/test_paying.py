"""Payments as they are ordered: from wallet to wallet, or out by a rail, under a consent that is used up by it."""

import asyncio
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from billfold import errors, ids
from billfold.contract.payments import PaymentStatus
from billfold.contract.wallets import AliasScheme
from billfold.ids import Prefix
from billfold_server.connectors.service import Notice, Report
from billfold_server.consents import service as consents
from billfold_server.consents.service import Use
from billfold_server.db import outbox
from billfold_server.invariants.service import check
from billfold_server.ledger.protocol import Answer
from billfold_server.payments import service
from billfold_server.wallets.service import AliasKey, find_wallet_known_as
from tests.server.payments.desk import OPENED_MINOR, PAYEE, Desk

BLOCK = "INSERT INTO blocked_third_parties (client_id, reason, blocked_by, blocked_at) VALUES ($1, 't', 't', now())"


class TestAPaymentToAWalletHere:
    async def test_is_over_at_once(self, desk: Desk) -> None:
        """The money is in the payee's wallet, every status was passed, and the consent is used up."""
        consent = await desk.consent()
        answer = await desk.give(consent, await desk.order(consent, to=PAYEE))
        row = await desk.payment(service.initiated(answer.body))
        assert (row.status, row.money, row.rail) == (PaymentStatus.CREDITED, "inside", None)
        assert [step.status for step in await desk.steps(row.id)] == ["RCVD", "ACTC", "ACCP", "ACSC", "ACCC"]
        assert await desk.balances() == (OPENED_MINOR - 1_000, 1_000, 0, 0, 0)
        assert (await desk.bank.find(consent)).status == "COND"
        assert await desk.turns(row.id) == []
        assert {"consent.consumed", "payment.created"} <= set(await desk.bank.events())
        await desk.check()

    async def test_may_name_the_wallet_itself(self, desk: Desk) -> None:
        """A wallet's own id is as good as a number of an account; one that names none is refused, and not sent out."""
        there = ids.decode(Prefix.WALLET, desk.bench.wallets[1])
        assert (await desk.payment(await desk.pay(to=there))).to_wallet_id == there
        with pytest.raises(errors.CreditorUnknown):
            await desk.pay(to=uuid4())

    async def test_finds_it_by_either_name_of_a_british_account(self, desk: Desk) -> None:
        """An IBAN finds the wallet that has its sort code and account number, and these find one that has an IBAN."""
        there = ids.decode(Prefix.WALLET, desk.bench.wallets[1])
        iban = AliasKey(AliasScheme.IBAN, "GB33BUKB20201555555555")
        number = AliasKey(AliasScheme.SORT_CODE_ACCOUNT_NUMBER, "20201555555555")
        assert (await desk.payment(await desk.pay(to=number))).to_wallet_id is None
        await desk.name(iban)
        for known_as in (iban, number, AliasKey(AliasScheme.IBAN, f"GB69BUKB{PAYEE}")):
            assert (await desk.payment(await desk.pay(to=known_as))).to_wallet_id == there
        await desk.check()

    async def test_finds_none_where_two_wallets_have_a_name_of_one_account(self, desk: Desk) -> None:
        """Where that was let happen before, the money is neither's: nobody knows which is meant."""
        await desk.name(AliasKey(AliasScheme.SORT_CODE_ACCOUNT_NUMBER, "20201555555555"))
        iban = AliasKey(AliasScheme.IBAN, "GB33BUKB20201555555555")
        async with desk.bank.tx() as tx:
            await tx.execute(
                "INSERT INTO wallet_aliases (id, wallet_id, scheme, value, normal_value, created_at) "
                "VALUES ($1, $2, 'iban', $3, $3, now())",
                uuid4(),
                ids.decode(Prefix.WALLET, desk.bench.wallets[0]),
                iban.normal_value,
            )
        for known_as in (iban, AliasKey(AliasScheme.SORT_CODE_ACCOUNT_NUMBER, "20201555555555")):
            assert (await desk.payment(await desk.pay(to=known_as))).to_wallet_id is None
            async with desk.bank.tx() as tx:
                assert await find_wallet_known_as(tx, known_as) is None


class TestAPaymentThatLeaves:
    async def test_waits_on_the_clearing_account(self, desk: Desk) -> None:
        """The money has left the wallet and is nobody's yet, and a job will give the order to the rail."""
        payment_id = await desk.pay()
        row = await desk.payment(payment_id)
        assert (row.status, row.money, row.rail) == (PaymentStatus.APPROVED, "under_way", "scripted")
        assert await desk.balances() == (OPENED_MINOR - 1_000, 0, 1_000, 0, 0)
        assert await desk.turns(payment_id) == [0]
        assert desk.rail.given == 0
        await desk.check()

    async def test_is_refused_where_there_is_no_rail(self, desk: Desk) -> None:
        """A tenant without a rail pays its own wallets alone."""
        desk.bank.services.rooms[service.ROOM].rail = None
        with pytest.raises(errors.RailMissing):
            await desk.pay()
        assert (await desk.balances())[0] == OPENED_MINOR


class TestWhatIsToldOfAPayment:
    async def test_says_how_it_was_ordered_whatever_has_become_of_it(self, desk: Desk) -> None:
        """Events of what was ordered and used up are told from the payment, also when its consent has gone."""
        consent = await desk.consent()
        row = await desk.payment(service.initiated((await desk.give(consent, await desk.order(consent))).body))
        await desk.hear(row.id, Report(reference="R", notices=(Notice(id="n", word="settle"),)))
        assert (await desk.payment(row.id)).status is PaymentStatus.SETTLED
        async with desk.bank.tx() as tx:
            written = {each["type"] for each in await tx.fetch("SELECT type FROM outbox_events WHERE data IS NOT NULL")}
        assert "payment.updated" in written
        assert written.isdisjoint({"payment.created", "consent.consumed"})
        await desk.bank.tenancy.as_owner(desk.tenant, "DELETE FROM consents")
        async with desk.bank.tx() as tx:
            told = {each.type: each.data for each in await outbox.list_events(tx)}
        assert told["payment.created"] == {
            "id": row.wire_id,
            "kind": "domestic_payment",
            "consent_id": consent.wire_id,
            "client_id": ids.encode(Prefix.CLIENT, desk.client_id),
            "wallet_id": ids.encode(Prefix.WALLET, row.wallet_id),
            "status": "ACCP",
            "status_reason": None,
            "needs_attention": None,
            "amount": {"amount_minor": 1_000, "currency": "EUR"},
            "updated_at": told["payment.created"]["updated_at"],
        }
        assert datetime.fromisoformat(told["payment.created"]["updated_at"]) == row.created_at
        assert told["consent.consumed"] == {
            "id": consent.wire_id,
            "kind": "domestic_payment",
            "status": "COND",
            "client_id": ids.encode(Prefix.CLIENT, desk.client_id),
            "party_id": ids.encode(Prefix.PARTY, row.party_id),
            "by": "tpp",
        }

    async def test_is_that_its_consent_was_used_once(self, desk: Desk) -> None:
        """The consent says itself when it was used up; where a row said so before, it isn't told twice."""
        consent = await desk.consent()
        assert (await desk.give(consent, await desk.order(consent, to=PAYEE))).error is None
        at = (await desk.bank.find(consent)).ended_at
        assert at is not None

        async def told(before: tuple[datetime, str] | None = None) -> list[Use]:
            async with desk.bank.tx() as tx:
                assert await consents.last_uses(tx, [consent.id]) == {consent.id: at}
                return await consents.list_uses(tx, consent.id, before=before, limit=9)

        hour = at.replace(minute=0, second=0, microsecond=0)
        once = [Use(hour=hour, operation="domestic_payment", times=1, last_at=at)]
        async with desk.bank.tx() as tx:
            assert await tx.fetch("SELECT FROM consent_uses") == []
        assert await told() == once
        assert await told((hour, "domestic_payment")) == []
        row = (consent.id, hour, "domestic_payment", at)
        async with desk.bank.tx() as tx:
            await tx.execute(
                "INSERT INTO consent_uses (consent_id, hour, operation, times, last_at) VALUES ($1, $2, $3, 1, $4)",
                *row,
            )
        assert await told() == once
        async with desk.bank.tx() as tx:
            await tx.execute(
                "INSERT INTO consent_uses (consent_id, hour, operation, times, last_at) VALUES ($1, $2, $3, 2, $4)",
                consent.id, hour, "funds_confirmation", at,
            )  # fmt: skip
        assert {use.operation for use in await told()} == {"funds_confirmation", "domestic_payment"}


class TestAnOrder:
    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({"said": b"another order"}, errors.PaymentDiffersFromConsent),
            ({"amount_minor": 999}, errors.PaymentDiffersFromConsent),
        ],
    )
    async def test_must_repeat_what_was_consented_to(
        self, desk: Desk, change: dict[str, Any], error: type[errors.ProblemError]
    ) -> None:
        """One that says something else is refused, and nothing of it remains; the consent stands."""
        consent = await desk.consent()
        answer = await desk.give(consent, await desk.order(consent, **change))
        assert type(answer.error) is error
        assert (await desk.bank.find(consent)).status == "AUTH"
        async with desk.bank.tx() as tx:
            assert await service.list_payments(tx, limit=10) == []

    async def test_needs_money(self, desk: Desk) -> None:
        """What the wallet doesn't have it can't pay; the consent stands, and pays once there is money."""
        consent = await desk.consent(OPENED_MINOR + 1)
        order = await desk.order(consent, OPENED_MINOR + 1)
        assert isinstance((await desk.give(consent, order)).error, errors.InsufficientFunds)
        await desk.bench.top_up(0, 1)
        assert (await desk.give(consent, order)).error is None

    async def test_needs_a_wallet_that_isn_t_frozen(self, desk: Desk) -> None:
        """A frozen wallet pays nothing."""
        await desk.freeze()
        with pytest.raises(errors.WalletFrozen):
            await desk.pay()

    async def test_is_its_own_third_party_s_alone(self, desk: Desk) -> None:
        """Neither another client nor a token of another consent can order under it."""
        consent, other = await desk.consent(), await desk.consent()
        order = await desk.order(consent)
        stranger = Desk(desk.bank, desk.bench, desk.rail, uuid4())
        theirs = await stranger.consent()
        for using in (other, theirs):
            with pytest.raises(errors.ConsentOfAnother):
                await desk.give(using, order)
        assert (await desk.balances())[0] == OPENED_MINOR

    async def test_is_refused_once_the_third_party_is_blocked(self, desk: Desk) -> None:
        """A blocked third party pays nothing more, whatever was allowed before."""
        consent = await desk.consent()
        async with desk.bank.tx() as tx:
            await tx.execute(BLOCK, desk.client_id)
        with pytest.raises(errors.ThirdPartyBlocked):
            await desk.give(consent, await desk.order(consent))


class TestAConsentForOnePayment:
    async def test_pays_once_under_two_hundred_copies_of_one_key(self, desk: Desk) -> None:
        """All copies are answered with the one payment that there is."""
        consent = await desk.consent()
        orders = [await desk.order(consent) for _ in range(200)]
        answers = await asyncio.gather(*(desk.give(consent, order, "key") for order in orders))
        assert len({service.initiated(answer.body) for answer in answers}) == 1
        assert sum(not answer.replayed for answer in answers) == 1
        assert await desk.balances() == (OPENED_MINOR - 1_000, 0, 1_000, 0, 0)
        await desk.check()

    async def test_pays_once_under_as_many_keys(self, desk: Desk) -> None:
        """One of them is the payment, and the others find the consent used up."""
        consent = await desk.consent()
        orders = [await desk.order(consent) for _ in range(20)]
        given = (desk.give(consent, order, f"key {number}") for number, order in enumerate(orders))
        answers = await asyncio.gather(*given, return_exceptions=True)
        refused = [each for each in answers if isinstance(each, errors.ConsentNotUsable)]
        assert len(refused) == 19
        assert {each.facts["consent_status"] for each in refused} == {"COND"}
        assert (await desk.balances())[0] == OPENED_MINOR - 1_000

    async def test_is_either_spent_or_revoked(self, desk: Desk) -> None:
        """However ordering and ending meet, one of them comes first, and the other finds what it has left."""
        consents = [await desk.consent() for _ in range(12)]
        orders = [await desk.order(consent) for consent in consents]
        paid = [desk.give(consent, order) for consent, order in zip(consents, orders, strict=True)]
        ended = [desk.bank.revoke(consent) for consent in consents]
        both = [each for pair in zip(ended, paid, strict=True) for each in pair]
        results = await asyncio.gather(*both, return_exceptions=True)
        spent = 0
        for consent, revoked, payment in zip(consents, results[::2], results[1::2], strict=True):
            has_paid = not isinstance(payment, errors.ConsentNotUsable)
            assert isinstance(revoked, errors.ConsentTransitionRefused) is has_paid, (revoked, payment)
            assert (await desk.bank.find(consent)).status == ("COND" if has_paid else "RJCT")
            spent += has_paid
        assert (await desk.balances())[0] == OPENED_MINOR - 1_000 * spent
        await desk.check()


class TestAConsentThatWasSeen:
    """A consent as it stood when its third party was let in, on which orders are decided ahead of the ledger."""

    async def test_is_spent_without_being_read_again(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """Orders that come together are decided, held to what was seen and written in one round trip."""
        await desk.pay(to=desk.payee_id)
        agreed = [await desk.consent() for _ in range(20)]
        given = [(each, await desk.order(each, to=desk.payee_id), await desk.seen(each)) for each in agreed]
        behind: list[Any] = []
        monkeypatch.setattr(desk.bench.engine, "_run_behind", lambda *run: behind.append(run))
        answers = await asyncio.gather(*(desk.give(each, order, seen=seen) for each, order, seen in given))
        assert not behind
        assert len({service.initiated(answer.body) for answer in answers}) == 20
        assert {(await desk.bank.find(each)).status for each in agreed} == {"COND"}
        assert await desk.balances() == (OPENED_MINOR - 21_000, 21_000, 0, 0, 0)
        await desk.check()

    @pytest.mark.parametrize("what", ["revoked", "blocked", "spent"])
    async def test_counts_for_nothing_once_it_is_another(self, desk: Desk, what: str) -> None:
        """Whatever has become of it meanwhile, the order is refused by that, and the others of its batch aren't."""
        await desk.pay(to=desk.payee_id)
        agreed = [await desk.consent() for _ in range(3)]
        given = [(each, await desk.order(each, to=desk.payee_id), await desk.seen(each)) for each in agreed]
        consent = agreed[1]
        if what == "revoked":
            await desk.bank.revoke(consent)
        elif what == "spent":
            await desk.give(consent, await desk.order(consent, to=desk.payee_id))
        else:
            async with desk.bank.tx() as tx:
                await tx.execute(BLOCK, desk.client_id)
        results = await asyncio.gather(
            *(desk.give(each, order, seen=seen) for each, order, seen in given), return_exceptions=True
        )
        wanted = errors.ThirdPartyBlocked if what == "blocked" else errors.ConsentNotUsable
        refused = [errors_of(each) for each in results]
        everybody = what == "blocked"
        assert [isinstance(each, wanted) for each in refused] == [everybody, True, everybody]
        paid = 1 + (what == "spent") + refused.count(None)
        assert (await desk.balances())[0] == OPENED_MINOR - 1_000 * paid
        await desk.check()

    async def test_pays_once_under_many_keys(self, desk: Desk) -> None:
        """Whoever has seen the same consent finds it used up by the first, in its own batch or in one after that."""
        await desk.pay(to=desk.payee_id)
        consent = await desk.consent()
        seen = await desk.seen(consent)
        orders = [await desk.order(consent, to=desk.payee_id) for _ in range(40)]
        given = (desk.give(consent, order, f"key {number}", seen=seen) for number, order in enumerate(orders))
        answers = [errors_of(each) for each in await asyncio.gather(*given, return_exceptions=True)]
        assert answers.count(None) == 1
        assert {each.facts["consent_status"] for each in answers if each is not None} == {"COND"}
        assert await desk.balances() == (OPENED_MINOR - 2_000, 2_000, 0, 0, 0)
        await desk.check()

    async def test_is_either_spent_or_revoked(self, desk: Desk) -> None:
        """However ordering and ending meet, one of them comes first, and the other finds what it has left."""
        await desk.pay(to=desk.payee_id)
        agreed = [await desk.consent() for _ in range(12)]
        given = [(each, await desk.order(each, to=desk.payee_id), await desk.seen(each)) for each in agreed]
        paid = [desk.give(each, order, seen=seen) for each, order, seen in given]
        ended = [desk.bank.revoke(each) for each in agreed]
        both = [each for pair in zip(ended, paid, strict=True) for each in pair]
        results = await asyncio.gather(*both, return_exceptions=True)
        spent = 0
        for consent, revoked, payment in zip(agreed, results[::2], results[1::2], strict=True):
            has_paid = errors_of(payment) is None
            assert isinstance(revoked, errors.ConsentTransitionRefused) is has_paid, (revoked, payment)
            assert (await desk.bank.find(consent)).status == ("COND" if has_paid else "RJCT")
            spent += has_paid
        assert (await desk.balances())[0] == OPENED_MINOR - 1_000 * (1 + spent)
        await desk.check()


def errors_of(result: Any) -> errors.ProblemError | None:
    """Return what an order was refused by, or None."""
    if isinstance(result, errors.ProblemError):
        return result
    assert isinstance(result, Answer), result
    return result.error


class TestTheDailyCheck:
    @pytest.mark.parametrize(
        ("damage", "broken"),
        [
            (
                "UPDATE payments SET amount_minor = amount_minor + 1",
                {"clearing_equals_payments_under_way", "payments_have_their_entries"},
            ),
            (
                "DELETE FROM payments",
                {
                    "clearing_equals_payments_under_way",
                    "entries_of_payments_have_their_payment",
                    "payment_texts_refer_to_what_is_there",
                },
            ),
            ("UPDATE payments SET steps = steps + 1", {"payments_have_their_steps"}),
            (
                """
                INSERT INTO payment_steps (payment_id, number, word, effect, status, recorded_at)
                SELECT id, steps + 2, 'accept', 'nothing', status, created_at FROM payments
                """,
                {"payments_have_their_steps"},
            ),
            (
                "UPDATE payments SET status = 'ACSC', money = 'settled', closing_entry_id = journal_entry_id",
                {
                    "clearing_equals_payments_under_way",
                    "payments_have_their_entries",
                    "payments_have_their_steps",
                },
            ),
        ],
    )
    async def test_finds_payments_that_do_not_agree_with_the_books(
        self, desk: Desk, damage: str, broken: set[str]
    ) -> None:
        """Whatever is changed behind the engine's back shows: an amount, a row, a step, or where the money is."""
        await desk.pay()
        await desk.bank.tenancy.as_owner(desk.tenant, damage)
        found = await check(desk.bank.tenancy.database, desk.tenant)
        assert {breach.invariant for breach in found} == broken
