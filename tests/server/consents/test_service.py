"""What happens to consents, in the database."""

from uuid import uuid4

import pytest

from billfold import errors
from billfold_server.consents import queries, service
from billfold_server.consents.rules import KINDS, ConsentKind
from tests.server.consents.consenting import Bank, caller_of


class TestAConsent:
    async def test_is_asked_for_and_authorised(self, bank: Bank) -> None:
        """It goes from AWAU to AUTH, is its customer's from then on, and each step has its event and its history."""
        asked = await bank.ask(uuid4())
        assert (asked.status, asked.version, asked.party_id) == ("AWAU", 1, None)
        given = await bank.authorise(asked)
        assert (given.status, given.party_id, given.wallet_ids) == ("AUTH", bank.owner.party_id, bank.wallet_ids)
        assert await bank.find(asked) == given
        assert await bank.events() == ["consent.created", "consent.authorised"]
        async with bank.tx() as tx:
            steps = await queries.list_history(tx, asked.id, after=None, limit=10)
        assert [(each.event, each.from_status, each.to_status) for each in steps] == [
            ("create", None, "AWAU"),
            ("authorise", "AWAU", "AUTH"),
        ]

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

    @pytest.mark.parametrize("kind", KINDS)
    async def test_opens_nothing_once_revoked(self, bank: Bank, kind: ConsentKind) -> None:
        """What was usable a moment ago is refused in the next transaction, and can't be revoked twice."""
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
