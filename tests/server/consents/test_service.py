"""What happens to consents, in the database."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from billfold import errors, ids
from billfold_server.consents import evidence, queries, service, staff
from billfold_server.consents.rules import KINDS, ConsentKind
from billfold_server.consents.subjects import SUBJECTS
from billfold_server.db import outbox
from billfold_server.db.outbox import NewEvent
from billfold_server.db.personal import Erasing, Subject
from billfold_server.db.sets import PLANS
from billfold_server.identity.grants import consented
from billfold_server.identity.grants.service import open_grant, usable_grant
from billfold_server.identity.tokens.standings import read_grants
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import SYSTEM
from tests.postgres import WAITS_FOR_US
from tests.server.consents.consenting import Bank, caller_of, with_user


class TestAConsent:
    async def test_is_asked_for_and_authorised(self, bank: Bank) -> None:
        """It goes from AWAU to AUTH, is its customer's from then on, and each step has its event and its history."""
        asked = await bank.ask(uuid4())
        assert (asked.status, asked.version, asked.party_id) == ("AWAU", 1, None)
        given = await bank.authorise(asked)
        assert (given.status, given.party_id, given.wallet_ids) == ("AUTH", bank.owner.party_id, bank.wallet_ids)
        assert await bank.find(asked) == given
        assert await bank.events() == ["consent.created", "consent.authorised"]
        assert await bank.history(asked) == [("create", "AWAU"), ("authorise", "AUTH")]

    async def test_says_what_was_asked_for(self, bank: Bank) -> None:
        """The request lies sealed, and opens as it came; its digest is that of what has to be repeated."""
        asked = await bank.ask(uuid4(), request=b'{"Data":"secret"}', repeated=b"the same")
        assert b"secret" not in asked.request_sealed
        assert await service.open_request(bank.services, bank.tenancy.tenant, asked) == b'{"Data":"secret"}'
        assert asked.request_digest == service.digest(bank.services, bank.tenancy.tenant, b"the same")

    async def test_belongs_to_who_asked(self, bank: Bank) -> None:
        """No other third party reads, authorises or uses it, and an id that names nothing is told apart."""
        consent = await bank.authorise(await bank.ask(uuid4()))
        stranger = uuid4()
        async with bank.tx() as tx:
            with pytest.raises(errors.ConsentOfAnother):
                await service.get(tx, consent.id, client_id=stranger)
            with pytest.raises(errors.ConsentNotFound):
                await service.get(tx, uuid4(), client_id=stranger)

    async def test_opens_nothing_once_revoked(self, bank: Bank) -> None:
        """What was usable a moment ago is refused in the next transaction, and can't be revoked twice."""
        for kind in KINDS:
            consent = await bank.authorise(await bank.ask(uuid4(), kind=kind))
            await bank.use(consent)
            ended = await bank.revoke(consent)
            assert (ended.ended_by, ended.status_reason) == ("psu", "no more")
            with pytest.raises(errors.ConsentNotUsable) as refused:
                await bank.use(consent)
            assert refused.value.consent_status == ended.status
            with pytest.raises(errors.ConsentTransitionRefused):
                await bank.revoke(consent)

    async def test_is_used_for_what_it_permits(self, bank: Bank) -> None:
        """Another permission, another account and another kind are each refused by a class of their own."""
        consent = await bank.authorise(await bank.ask(uuid4()))
        await bank.use(consent, permission="ReadBalances", wallet_id=bank.wallet_ids[0])
        with pytest.raises(errors.ConsentLacksPermission):
            await bank.use(consent, permission="ReadTransactionsBasic")
        with pytest.raises(errors.ConsentLacksAccount):
            await bank.use(consent, wallet_id=uuid4())
        with pytest.raises(errors.ConsentNotUsable):
            await bank.use(consent, kind="domestic_vrp")

    async def test_that_pays_is_used_up_once(self, bank: Bank) -> None:
        """A payment's consent is consumed, and never again."""
        client_id = uuid4()
        asked = await bank.ask(client_id, kind="domestic_payment", amount_minor=1_000, currency="EUR")
        consent = await bank.authorise(asked)
        now = await bank.now()
        async with bank.tx() as tx:
            done = await service.consume(tx, consent.id, client_id=client_id, now=now, caller=caller_of(client_id))
        assert done.status == "COND"
        async with bank.tx() as tx:
            assert await service.stands(tx, consent.id)
            with pytest.raises(errors.ConsentTransitionRefused):
                await service.consume(tx, consent.id, client_id=client_id, now=now, caller=caller_of(client_id))

    async def test_that_was_used_up_leaves_its_grant_until_its_time_is_over(self, bank: Bank) -> None:
        """The payment can be looked at meanwhile; then nothing is issued any more, before the job comes and after."""
        client_id, user_id = uuid4(), await with_user(bank)
        asked = await bank.ask(client_id, kind="domestic_payment", amount_minor=1_000, currency="EUR")
        consent, now = await bank.authorise(asked), await bank.now()
        async with bank.tx() as tx:
            grant_id = await open_grant(
                tx, client_id=client_id, user_id=user_id, scopes=[], auth_time=now, now=now, consent_id=consent.id
            )
            await service.consume(tx, consent.id, client_id=client_id, now=now, caller=caller_of(client_id))
        await bank.travel(hours=23)
        async with bank.tx() as tx:
            assert await service.stands(tx, consent.id)
            assert await usable_grant(tx, grant_id)
        await bank.pass_time(hours=1)
        async with bank.tx() as tx:
            assert not await service.stands(tx, consent.id)
        await bank.work()
        async with bank.tx() as tx:
            assert not await usable_grant(tx, grant_id)

    async def test_is_decided_on_once(self, bank: Bank) -> None:
        """Of many who allow, spend and take back a payment at once, one is first, and the others are refused."""
        client_id = uuid4()
        consent = await bank.ask(client_id, kind="domestic_payment", amount_minor=5, currency="EUR")
        allowed = await asyncio.gather(*(bank.authorise(consent) for _ in range(8)), return_exceptions=True)
        assert [type(each) for each in allowed].count(errors.ConsentTransitionRefused) == 7

        async def spend() -> service.Consent:
            now = await bank.now()
            async with bank.tx() as tx:
                return await service.consume(tx, consent.id, client_id=client_id, now=now, caller=caller_of(client_id))

        both = [spend() if number % 2 else bank.revoke(consent) for number in range(8)]
        done = await asyncio.gather(*both, return_exceptions=True)
        assert [type(each) for each in done].count(errors.ConsentTransitionRefused) == 7
        assert (await bank.find(consent)).status in {"COND", "RJCT"}
        assert len(await bank.history(consent)) == 3

    async def test_of_a_blocked_third_party_rests(self, bank: Bank) -> None:
        """It opens nothing while its third party is kept out, and stands again when that is let in."""
        consent = await bank.authorise(await bank.ask(uuid4()))
        client_id = consent.client_id
        async with bank.tx() as tx:
            assert await queries.block(tx, client_id, "x", "x", await tenant_now(tx))
        with pytest.raises(errors.ThirdPartyBlocked):
            await bank.use(consent)
        with pytest.raises(errors.ThirdPartyBlocked):
            await bank.find(consent)
        with pytest.raises(errors.ThirdPartyBlocked):
            await bank.ask(client_id)
        async with bank.tx() as tx:
            assert not await service.stands(tx, consent.id)
            await staff.unblock(tx, SYSTEM, client_id)
        assert (await bank.use(consent)).status == "AUTH"

    async def test_counts_what_it_is_used_for(self, bank: Bank) -> None:
        """There is one row per operation and hour, however often it is used, and what the process counts is added."""
        consent = await bank.authorise(await bank.ask(uuid4()))
        uses = service.Uses(bank.tenancy.database)
        for counted in (None, uses, uses, None):
            await bank.use(consent, permission="ReadBalances", uses=counted)
        await bank.use(consent, permission="ReadAccountsBasic", uses=uses)
        await uses.flush()
        async with bank.tx() as tx:
            rows = await queries.list_uses(tx, consent.id, before=None, limit=10)
        assert {(row.operation, row.times) for row in rows} == {("ReadBalances", 4), ("ReadAccountsBasic", 1)}


class TestAStepThatIsRefused:
    async def test_is_written_down_and_changes_nothing(self, bank: Bank) -> None:
        """History and audit tell of it, with how often; there is no event, and the consent is as it was."""
        consent = await bank.revoke(await bank.ask(uuid4()))
        events = await bank.events()
        for _ in range(3):
            with pytest.raises(errors.ConsentTransitionRefused) as refused:
                await bank.revoke(consent)
            await service.record_refused(
                bank.tenancy.database, bank.tenancy.tenant, caller_of(consent.client_id), refused.value, by="psu"
            )
        assert (await bank.find(consent), await bank.events()) == (consent, events)
        assert await bank.history(consent) == [("create", "AWAU"), ("revoke", "CANC"), ("revoke", None)]
        async with bank.tx() as tx:
            steps = await queries.list_history(tx, consent.id, after=None, limit=10)
            audited = await tx.fetchval("SELECT count(*) FROM audit_records WHERE action = 'consent.step_refused'")
        # The audit has the first of them, so that nobody fills it.
        assert (steps[-1].from_status, steps[-1].times, audited) == ("CANC", 3, 1)


class TestTime:
    async def test_ends_what_nobody_has_authorised(self, bank: Bank) -> None:
        """A consent that waits too long is rejected by the job, at the instant that was due."""
        asked = await bank.ask(uuid4())
        await bank.travel(hours=25)
        ended = await bank.find(asked)
        assert (ended.status, ended.ended_by, ended.ended_at) == ("RJCT", "system", asked.ends_at)
        assert await bank.history(asked) == [("create", "AWAU"), ("lapse", "RJCT")]
        with pytest.raises(errors.ConsentTransitionRefused):
            await bank.authorise(asked)

    async def test_ends_what_was_to_be_authorised_earlier(self, bank: Bank) -> None:
        """A third party's time for it ends the waiting; what was authorised in it lasts as long as any other."""
        by = await bank.now() + timedelta(hours=2)
        late, given = [
            await bank.ask(ids.uuid7(), kind="domestic_payment", amount_minor=1, currency="EUR", authorise_by=by)
            for _ in range(2)
        ]
        assert (late.ends_at, late.expires_at) == (by, None)
        given = await bank.authorise(given)
        assert given.ends_at > by
        await bank.travel(hours=3)
        assert ((await bank.find(late)).status, (await bank.find(given)).status) == ("RJCT", "AUTH")

    async def test_ends_what_was_allowed_until_then(self, bank: Bank) -> None:
        """At the end that was asked for nothing opens any more, before the job has written it down and after."""
        until = await bank.now() + timedelta(days=10)
        consent = await bank.authorise(await bank.ask(uuid4(), expires_at=until))
        await bank.use(consent)
        await bank.pass_time(days=10)
        assert (await bank.find(consent)).status == "EXPD"
        with pytest.raises(errors.ConsentNotUsable):
            await bank.use(consent)
        async with bank.tx() as tx:
            assert not await service.stands(tx, consent.id)
        await bank.work()
        assert await bank.history(consent) == [("create", "AWAU"), ("authorise", "AUTH"), ("expire", "EXPD")]

    @pytest.mark.parametrize("days", [90, 180])
    async def test_has_the_customer_come_back(self, bank: Bank, days: int) -> None:
        """After as many days as the bank says nothing is read until they have authenticated again; nobody else may."""
        bank = bank.with_policy(reauthentication_days=days)
        consent, user_id, now = await bank.authorise(await bank.ask(uuid4())), await with_user(bank), await bank.now()
        given: dict[str, Any] = {"user_id": user_id, "scopes": [], "auth_time": now, "now": now}
        async with bank.tx() as tx:
            grant_id = await open_grant(tx, client_id=consent.client_id, consent_id=consent.id, **given)
        await bank.travel(days=days - 1)
        await bank.use(consent)
        await bank.travel(days=1)
        with pytest.raises(errors.ReauthenticationRequired):
            await bank.use(consent)
        # Tokens of its grant are let in that far, so that the third party is told why; new ones there are none.
        async with bank.tx() as tx:
            key = (grant_id, consent.client_id)
            assert (await read_grants(tx, [key]))[key].stands
            assert await consented.usable(tx, grant_id, now) is None
        assert (await bank.find(consent)).status == "AUTH"
        with pytest.raises(errors.ConsentOfAnother):
            await bank.authorise(consent, (await Bank.open(bank.tenancy, bank.services.keys)).owner)
        await bank.authorise(consent)
        await bank.use(consent)
        assert [event for event, _ in await bank.history(consent)] == [
            "create",
            "authorise",
            "require_reauthentication",
            "reauthenticate",
        ]

    async def test_is_looked_at_with_grants_and_users_by_one_query(
        self, bank: Bank, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever is asked at once: a grant by a consent, one by none, another client's, and one that isn't there."""
        consent, user_id, now = await bank.authorise(await bank.ask(uuid4())), await with_user(bank), await bank.now()
        client_id = consent.client_id
        asked: list[str] = []
        given: dict[str, Any] = {"client_id": client_id, "user_id": user_id, "scopes": [], "auth_time": now, "now": now}
        async with bank.tx() as tx:
            by_consent = await open_grant(tx, consent_id=consent.id, **given)
            by_word = await open_grant(tx, **given)
        keys = [(by_consent, client_id), (by_word, client_id), (by_consent, uuid4()), (uuid4(), client_id)]
        async with bank.tx() as tx:
            fetch = tx.fetch

            async def noted(sql: str, *arguments: object) -> Any:
                asked.append("\n".join(line[0] for line in await fetch(f"EXPLAIN {sql}", *arguments)))
                return await fetch(sql, *arguments)

            await tx.execute(PLANS)
            monkeypatch.setattr(tx, "fetch", noted)
            found = await read_grants(tx, keys)
        assert [found[key].stands for key in keys] == [True, True, False, False]
        assert [found[key].consent_id for key in keys] == [consent.id, None, None, None]
        agreed = found[keys[0]].agreed
        assert agreed is not None
        assert agreed.seen == msgspec.structs.replace(consent, request_sealed=b"")
        (plan,) = asked
        # However small they are, all is found by its key.
        assert "Index Cond: (id = g.consent_id)" in plan
        assert "Index Cond: (id = g.user_id)" in plan
        assert "Seq Scan" not in plan

    @pytest.mark.parametrize("kind", ["domestic_vrp", "funds_confirmation"])
    async def test_that_lasts_rests_when_the_bank_says_so(self, bank: Bank, kind: ConsentKind) -> None:
        """Time alone asks nobody to come back who lets pay; the bank may, and it rests until they have."""
        consent = await bank.authorise(await bank.ask(uuid4(), kind=kind))
        assert consent.reauthenticate_by is None
        await bank.travel(days=400)
        await bank.use(consent)
        async with bank.tx() as tx:
            actor = caller_of(uuid4())
            await service.require_reauthentication(tx, consent.id, actor=actor, reason="It looks like fraud.")
        with pytest.raises(errors.ReauthenticationRequired):
            await bank.use(consent)
        async with bank.tx() as tx:
            assert not await service.stands(tx, consent.id)
        again = await bank.authorise(consent)
        assert (again.status, again.reauthenticate_by, again.ends_at) == ("AUTH", None, consent.ends_at)
        await bank.use(consent)
        assert [event for event, _ in await bank.history(consent)] == [
            "create",
            "authorise",
            "require_reauthentication",
            "reauthenticate",
        ]

    async def test_for_one_payment_never_rests(self, bank: Bank) -> None:
        """It is ended instead, and can't be authorised twice."""
        once = await bank.authorise(await bank.ask(uuid4(), kind="domestic_payment", amount_minor=5, currency="EUR"))
        with pytest.raises(errors.ConsentTransitionRefused) as refused:
            await bank.authorise(once)
        assert refused.value.event == "reauthenticate"
        with pytest.raises(errors.ConsentTransitionRefused) as refused:
            async with bank.tx() as tx:
                await service.require_reauthentication(tx, once.id, actor=caller_of(uuid4()), reason="x")
        assert refused.value.event == "require_reauthentication"


class TestEvidence:
    async def test_is_sealed_and_chained(self, bank: Bank) -> None:
        """The chain of all consents verifies, says what was shown, and doesn't once a link was changed or dropped."""
        for _ in range(3):
            await bank.authorise(await bank.ask(uuid4()))
        tenant = bank.tenancy.tenant
        assert await evidence.verify(bank.services, tenant) == evidence.Verified(links=3, opened=3)
        await bank.tenancy.as_owner(tenant, "UPDATE consent_evidence SET consent_id = gen_random_uuid() WHERE number=2")
        assert (await evidence.verify(bank.services, tenant)).broken_at == 2
        await bank.tenancy.as_owner(tenant, "DELETE FROM consent_evidence WHERE number = 2")
        assert (await evidence.verify(bank.services, tenant)).broken_at == 2

    async def test_goes_with_its_customer(self, bank: Bank) -> None:
        """Who is forgotten leaves codes, times and links, which verify; what named them is gone, and all has ended."""
        consent = await bank.authorise(await bank.ask(uuid4()))
        other = await bank.authorise(await bank.ask(uuid4()))
        now = await bank.now()
        erasing = Erasing(
            subject=Subject(party_id=bank.owner.party_id), caller=SYSTEM, reason="x", now=now, real_now=now
        )
        assert SUBJECTS.erase is not None
        async with bank.tx() as tx:
            assert await SUBJECTS.erase(tx, erasing) == {"consents": 2}
        ended = await bank.find(consent)
        assert (ended.status, ended.status_reason, ended.request_sealed) == ("CANC", None, b"")
        assert (await bank.find(other)).status == "CANC"
        with pytest.raises(errors.SubjectForgotten):
            await service.open_request(bank.services, bank.tenancy.tenant, ended)
        assert await evidence.verify(bank.services, bank.tenancy.tenant) == evidence.Verified(links=2, opened=0)

    async def test_outlives_its_days_as_a_link(self, bank: Bank) -> None:
        """What has ended long ago is deleted, what stands isn't, and the chain still verifies."""
        gone = await bank.revoke(await bank.authorise(await bank.ask(uuid4())))
        kept = await bank.authorise(await bank.ask(uuid4()))
        async with bank.tx() as tx:
            assert await queries.sweep(tx, await tenant_now(tx) + timedelta(days=1), 100) == 1
            assert await queries.find(tx, gone.id) is None
        assert (await bank.find(kept)).status == "AUTH"
        assert await evidence.verify(bank.services, bank.tenancy.tenant) == evidence.Verified(links=2, opened=1)


class TestWhatEndsTogether:
    @pytest.mark.parametrize("who", ["customer", "third party"])
    async def test_keeps_nobody_from_writing_an_event(self, bank: Bank, who: str) -> None:
        """While one of several consents is held by whoever goes on to write an event, nothing is held but consents."""
        client_id, now = uuid4(), await bank.now()
        _, second = [await bank.authorise(await bank.ask(client_id)) for _ in range(2)]
        subject = Subject(party_id=bank.owner.party_id)
        erasing = Erasing(subject=subject, caller=SYSTEM, reason="x", now=now, real_now=now)

        held = asyncio.Event()

        async def end() -> None:
            assert SUBJECTS.erase is not None
            await held.wait()
            if who == "third party":
                await bank.work()
            else:
                async with bank.tx() as tx:
                    await SUBJECTS.erase(tx, erasing)

        async with bank.tx() as tx:
            await service.client_ended(tx, client_id)
        ending = asyncio.create_task(end())
        async with bank.tx() as tx:
            await queries.lock(tx, second.id)
            held.set()
            while not (ending.done() or await tx.fetchval(WAITS_FOR_US)):
                await asyncio.sleep(0.01)
            await outbox.emit(tx, NewEvent(id=ids.uuid7(), type="x.y", object_id="x", data=b"{}", occurred_at=now))
        await ending
        assert (await bank.find(second)).status == "CANC"


class TestAClientThatIsNoMore:
    async def test_takes_its_consents_along(self, bank: Bank) -> None:
        """The job ends all of them, and nobody else's."""
        client_id = uuid4()
        mine = [await bank.authorise(await bank.ask(client_id)), await bank.ask(client_id)]
        others = await bank.authorise(await bank.ask(uuid4()))
        async with bank.tx() as tx:
            await service.client_ended(tx, client_id)
        await bank.work()
        assert [(await bank.find(each)).status for each in [*mine, others]] == ["CANC", "CANC", "AUTH"]

    async def test_leaves_what_is_allowed_once_it_is_let_in_again(self, bank: Bank) -> None:
        """However late the job comes, it ends what had been allowed before, and nothing that came later."""
        client_id = uuid4()
        before, asked = await bank.authorise(await bank.ask(client_id)), await bank.ask(client_id)
        waiting = await bank.ask(client_id)
        async with bank.tx() as tx:
            await service.client_ended(tx, client_id)
        await bank.pass_time(hours=1)
        later = [await bank.authorise(each) for each in (asked, await bank.ask(client_id))]
        await bank.work()
        found = [(await bank.find(each)).status for each in (before, waiting, *later)]
        assert found == ["CANC", "CANC", "AUTH", "AUTH"]


class TestWhatCannotEndInTime:
    @pytest.mark.parametrize(("step", "told"), [("catch_up", "consent.expired"), ("end_one", "consent.revoked")])
    async def test_ends_once_the_database_has_time(
        self, bank: Bank, monkeypatch: pytest.MonkeyPatch, step: str, told: str
    ) -> None:
        """Hours in which no consent could be changed leave none that nobody ends any more."""
        expires_at = None if step == "end_one" else await bank.now() + timedelta(days=1)
        consent = await bank.authorise(await bank.ask(uuid4(), expires_at=expires_at))
        if step == "end_one":
            async with bank.tx() as tx:
                await service.client_ended(tx, consent.client_id)

        async def busy(*_: Any, **__: Any) -> None:
            raise errors.Busy(retry_after_s=1)

        with monkeypatch.context() as patch:
            patch.setattr(service, step, busy)
            await bank.travel(hours=6 if expires_at is None else 30)
        await bank.travel(hours=2)
        assert (await bank.events())[-1] == told
