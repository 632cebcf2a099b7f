"""Consents, what is issued for them, clocks and revocations in any order, against a model of what must come of it.

The model knows nothing of the table of transitions: it says in its own words what a consent is.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from billfold import errors
from billfold_server.consents import evidence, queries, service
from billfold_server.consents.rules import FINAL, KINDS, TRANSITIONS, ConsentKind
from billfold_server.consents.service import By, Consent
from billfold_server.identity.grants import consented
from billfold_server.identity.grants.service import open_grant
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import SYSTEM
from tests.server.consents.consenting import Bank, with_user
from tests.soak import many

DAYS = 30
"""How long a consent that lasts may last here, so that time often runs out."""
COME_BACK = 7

MOVES = st.sampled_from([timedelta(minutes=1), timedelta(hours=23), timedelta(days=3), timedelta(days=8)])
REFUSED = (errors.ConsentTransitionRefused, errors.ConsentNotUsable, errors.ReauthenticationRequired)


@dataclass
class Expected:
    """What a consent must be."""

    consent: Consent
    status: str = "AWAU"
    authorised_at: datetime | None = None
    come_back_by: datetime | None = None
    grants: list[UUID] = field(default_factory=list)
    steps: int = 1

    @property
    def once(self) -> bool:
        """Tell whether it is for one payment."""
        return self.consent.kind == "domestic_payment"

    @property
    def ends_at(self) -> datetime:
        """Return when it ends by itself."""
        made, asked = self.consent.created_at, self.consent.expires_at
        end = made + timedelta(days=DAYS)
        if self.authorised_at is None:
            end = made + timedelta(hours=24)
        elif self.once:
            end = self.authorised_at + timedelta(hours=24)
        return end if asked is None else min(end, asked)

    def at(self, now: datetime) -> str:
        """Return where it stands at an instant."""
        if self.status not in {"AWAU", "AUTH"} or now < self.ends_at:
            return self.status
        asked = self.consent.expires_at
        lapsed = self.status == "AWAU" and (asked is None or now < asked)
        return "RJCT" if self.once or lapsed else "EXPD"

    def usable(self, now: datetime) -> bool:
        """Tell whether something may be done by it."""
        return self.at(now) == "AUTH" and (self.come_back_by is None or now < self.come_back_by)


class Play(RuleBasedStateMachine):
    """A third party and a customer who do what they like, and time that goes on."""

    consents: Bundle[Expected] = Bundle("consents")
    bank: Bank
    loop: asyncio.AbstractEventLoop
    user_id: UUID

    def __init__(self) -> None:
        super().__init__()
        self.client_id = uuid4()
        self.blocked = False
        self.everything: list[Expected] = []
        self.now = self.run(self.bank.pass_time())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do something in the event loop of the test."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    @rule(target=consents, kind=st.sampled_from(KINDS), lasting=st.none() | MOVES)
    def ask_only(self, kind: ConsentKind, lasting: timedelta | None) -> Any:
        """Ask for a consent, of this or that length."""
        return self.ask(kind, lasting)

    def ask(self, kind: ConsentKind, lasting: timedelta | None) -> Expected:
        """Ask for a consent, which a third party may unless it is blocked."""
        expires_at = None if lasting is None else self.now + lasting
        amount = {"amount_minor": 5, "currency": "EUR"} if kind == "domestic_payment" else {}
        if self.blocked:
            with pytest.raises(errors.ThirdPartyBlocked):
                self.run(self.bank.ask(self.client_id, kind=kind, **amount))
            self.run(self.unblock())
        made = Expected(self.run(self.bank.ask(self.client_id, kind=kind, expires_at=expires_at, **amount)))
        self.everything.append(made)
        return made

    @rule(target=consents, kind=st.sampled_from(KINDS))
    def ask_and_allow(self, kind: ConsentKind) -> Any:
        """Ask for a consent, and let the customer allow it at once."""
        made = self.ask(kind, None)
        self.allow(made)
        return made

    @rule(of=consents)
    def allow(self, of: Expected) -> None:
        """Let the customer allow it, or come back; it is done where that can be, in one transaction with its grant."""
        standing = of.at(self.now)
        fine = not self.blocked and (standing == "AWAU" or (standing == "AUTH" and not of.once))
        if not fine:
            with pytest.raises((errors.ConsentTransitionRefused, errors.ThirdPartyBlocked)):
                self.run(self.allowed(of))
            return
        grant_id = self.run(self.allowed(of))
        of.status, of.authorised_at, of.steps = "AUTH", of.authorised_at or self.now, of.steps + 1
        of.come_back_by = self.now + timedelta(days=COME_BACK) if of.consent.kind == "account_access" else None
        of.grants.append(grant_id)

    async def allowed(self, of: Expected) -> UUID:
        """Authorise a consent, and open the grant of it."""
        bank, consent_id = self.bank, of.consent.id
        owner = service.Owner(user_id=self.user_id, party_id=bank.owner.party_id)
        shown = service.Evidence(shown=b"{}", text_version="1", language="en", shown_at=self.now)
        sealed = await service.seal_evidence(bank.services, bank.tenancy.tenant, consent_id, owner.party_id, shown)
        async with bank.tx() as tx:
            await service.authorise(
                tx,
                consent_id,
                client_id=self.client_id,
                owner=owner,
                wallet_ids=bank.wallet_ids,
                sca_id=None,
                evidence=sealed,
                now=await tenant_now(tx),
            )
            return await open_grant(
                tx,
                client_id=self.client_id,
                user_id=self.user_id,
                scopes=["accounts"],
                auth_time=self.now,
                now=self.now,
                consent_id=consent_id,
            )

    @rule(of=consents)
    def refuse(self, of: Expected) -> None:
        """Let the customer say no."""
        self.step(of, "RJCT", self.refused(of), fine=of.at(self.now) == "AWAU")

    async def refused(self, of: Expected) -> Consent:
        """Refuse a consent."""
        async with self.bank.tx() as tx:
            return await service.refuse(tx, of.consent.id, client_id=self.client_id, now=await tenant_now(tx))

    @rule(of=consents)
    def consume(self, of: Expected) -> None:
        """Pay by it."""
        self.step(of, "COND", self.consumed(of), fine=of.once and of.at(self.now) == "AUTH")

    async def consumed(self, of: Expected) -> Consent:
        """Use a consent up."""
        async with self.bank.tx() as tx:
            now = await tenant_now(tx)
            return await service.consume(tx, of.consent.id, client_id=self.client_id, now=now, caller=SYSTEM)

    @rule(of=consents, by=st.sampled_from(["psu", "tpp", "staff"]))
    def revoke(self, of: Expected, by: By) -> None:
        """Take it back, on any side."""
        ended = "RJCT" if of.once else "CANC"
        self.step(of, ended, self.bank.revoke(of.consent, by), fine=of.at(self.now) in {"AWAU", "AUTH"})

    @rule(of=consents)
    def have_come_back(self, of: Expected) -> None:
        """Let it rest in the bank's name until the customer comes back."""
        lasting = not of.once and of.at(self.now) == "AUTH"
        self.step(of, "AUTH", self.rested(of), fine=lasting)
        if lasting:
            of.come_back_by = min(self.now, of.come_back_by or self.now)

    async def rested(self, of: Expected) -> Consent:
        """Require that the customer authenticates again."""
        async with self.bank.tx() as tx:
            return await service.require_reauthentication(tx, of.consent.id, actor=SYSTEM, reason="x")

    @rule(of=consents)
    def give_token_back(self, of: Expected) -> None:
        """Revoke the newest token: that ends the consent, too, unless it has ended."""
        if of.grants:
            standing = of.at(self.now)
            stood = self.run(self.token_revoked(of.grants[-1]))
            if stood and standing in {"AWAU", "AUTH"}:
                of.status, of.steps = "RJCT" if of.once else "CANC", of.steps + 1

    async def token_revoked(self, grant_id: UUID) -> bool:
        """End a grant as the revocation endpoint does."""
        async with self.bank.tx() as tx:
            return await consented.revoke(tx, grant_id, "x", by="token", now=self.now, caller=SYSTEM)

    def step(self, of: Expected, to: str, work: Coroutine[Any, Any, Consent], *, fine: bool) -> None:
        """Take a step, or see that it is refused."""
        if fine:
            assert self.run(work).status == to
            of.status, of.steps = to, of.steps + 1
        else:
            with pytest.raises(errors.ConsentTransitionRefused):
                self.run(work)

    @rule(by=MOVES)
    def pass_time(self, by: timedelta) -> None:
        """Let time go on, with nobody there who does jobs."""
        self.now = self.run(self.bank.pass_time(hours=by.total_seconds() / 3600))

    @rule()
    def work(self) -> None:
        """Do the jobs that are due."""
        self.run(self.bank.work())
        for each in self.everything:
            if (standing := each.at(self.now)) != each.status:
                each.status = standing

    @rule()
    def block(self) -> None:
        """Keep the third party out, or let it in again."""
        if self.blocked:
            self.run(self.unblock())
        else:
            self.run(self.kept_out())
            self.blocked = True

    async def kept_out(self) -> None:
        """Block the third party."""
        async with self.bank.tx() as tx:
            assert await queries.block(tx, self.client_id, "x", "x", self.now)

    async def unblock(self) -> None:
        """Let the third party in."""
        async with self.bank.tx() as tx:
            assert await queries.unblock(tx, self.client_id)
        self.blocked = False

    @invariant()
    def nothing_outlives_its_consent(self) -> None:
        """Every consent stands where it must, and what may be issued for one ends with it."""
        for each in self.everything:
            self.run(self.looked_at(each))
            self.run(self.used(each))

    async def used(self, of: Expected) -> None:
        """Use it; that goes exactly as long as it stands and its third party is let in."""
        if of.usable(self.now) and not self.blocked:
            assert (await self.bank.use(of.consent)).status == "AUTH"
        else:
            with pytest.raises((*REFUSED, errors.ThirdPartyBlocked)):
                await self.bank.use(of.consent)

    async def looked_at(self, of: Expected) -> None:
        """Look at a consent, and at what may be issued by its grants."""
        async with self.bank.tx() as tx:
            found = await service.find(tx, of.consent.id)
            assert found is not None
            assert (found.status, found.ends_at) == (of.at(self.now), of.ends_at)
            for grant_id in of.grants:
                usable = await consented.usable(tx, grant_id, self.now)
                if usable is None:
                    continue
                assert usable.until is not None
                assert usable.until - self.now <= of.ends_at - self.now
                assert not self.blocked
                assert found.status == "COND" or of.usable(self.now)

    def teardown(self) -> None:
        """Let so much time go by that nothing stands, and look at all that has happened."""
        if self.blocked:
            self.run(self.unblock())
        self.now = self.run(self.bank.travel(days=DAYS + 3))
        for each in self.everything:
            self.run(self.looked_back_on(each))

    async def looked_back_on(self, of: Expected) -> None:
        """See that a consent has ended, by steps that there are, and that nothing can be issued for it."""
        bank, kind = self.bank, of.consent.kind
        async with bank.tx() as tx:
            row = await queries.find(tx, of.consent.id)
            steps = await queries.list_history(tx, of.consent.id, after=None, limit=1_000)
            for grant_id in of.grants:
                assert await consented.usable(tx, grant_id, self.now) is None
        assert row is not None
        assert row.status in FINAL
        ways = [(each.from_status, each.event, each.to_status) for each in steps]
        assert ways[0] == (None, "create", "AWAU")
        standing: str | None = "AWAU"
        for begin, event, end in ways[1:]:
            assert begin == standing
            assert TRANSITIONS[kind][begin, event] == end  # type: ignore[index]
            standing = end
        assert standing == row.status
        # Time has done the rest: an end, and before it perhaps one return for each time that was due.
        by_time = {"lapse", "expire", "require_reauthentication"}
        done = [each for each in steps if each.event not in by_time or each.done_by == "staff"]
        assert len(done) == of.steps
        with pytest.raises(REFUSED):
            await bank.use(of.consent)


class TestConsents:
    async def test_hold_what_they_promise(self, bank: Bank) -> None:
        """No step that there isn't, nothing that outlives its consent, and an end for every one."""
        bank = bank.with_policy(consent_days=DAYS, reauthentication_days=COME_BACK)

        customer = await with_user(bank)

        class Here(Play):
            loop = asyncio.get_running_loop()
            user_id = customer

        Here.bank = bank
        play = settings(
            max_examples=many(8, 300),
            stateful_step_count=many(15, 50),
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        await asyncio.to_thread(run_state_machine_as_test, Here, settings=play)
        verified = await evidence.verify(bank.services, bank.tenancy.tenant)
        assert (verified.broken_at, verified.opened) == (None, verified.links)
