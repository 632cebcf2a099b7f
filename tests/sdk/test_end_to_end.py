"""The SDK against the real server: uvicorn on the loopback, PostgreSQL behind it."""

import asyncio
import secrets
from collections.abc import Iterator
from datetime import timedelta

import msgspec
import pytest

from billfold import (
    AsyncBillfold,
    Billfold,
    BillfoldPlatform,
    HttpxTransport,
    Money,
    Request,
    Response,
    as_error,
    credit,
    debit,
    errors,
    is_known,
    order,
)
from billfold.contract.ledger import HoldStatus
from billfold.contract.payments import CreditorScheme, PaymentCreditor, PaymentKind, PaymentStatus
from billfold.contract.platform import TenantState
from billfold.contract.wallets import BulkMode, Transfer, Wallet, WalletStatus
from tests.contract.dead_jobs import DeadJobs
from tests.live import LiveServer
from tests.pace import until
from tests.sandbox import options
from tests.tenants import manifest

TEN = Money(1000, "EUR")


@pytest.fixture
def billfold(live: LiveServer) -> Iterator[Billfold]:
    """A synchronous client that may do everything."""
    with Billfold(**options(live)) as client:
        yield client


def wallet_with(billfold: Billfold, amount: Money | None = None) -> Wallet:
    """Open a wallet of a new party, with money in it."""
    party = billfold.parties.create(kind="person", name="Ada Lovelace")
    wallet = billfold.wallets.create(party_id=party.id, label="Everyday")
    if amount is not None:
        billfold.top_ups.create(wallet_id=wallet.id, amount=amount)
    return wallet


class TestMoney:
    def test_moves_from_wallet_to_wallet(self, billfold: Billfold):
        """A transfer changes both balances, and can be read back and listed."""
        source, target = wallet_with(billfold, TEN), wallet_with(billfold)
        transfer = billfold.transfers.create(
            from_wallet_id=source.id, to_wallet_id=target.id, amount=("2.50", "EUR"), description="Lunch"
        )
        assert (transfer.amount, transfer.from_balance_after_minor) == (Money(250, "EUR"), 750)
        assert billfold.transfers.get(transfer.id) == transfer
        assert list(billfold.transfers.list(wallet_id=target.id)) == [transfer]
        assert [each.available_minor for each in billfold.wallets.balances(target.id)] == [250]
        assert [line.amount_minor for line in billfold.wallets.statement(source.id)] in ([-250, 1000], [1000, -250])

    def test_moves_once_although_its_answer_was_lost(self, live: LiveServer):
        """The server has booked, the answer is lost on its way, and the SDK asks again under the same key."""
        transport = LosesAnswers()
        with Billfold(**options(live), transport=transport) as billfold:
            source, target = wallet_with(billfold, TEN), wallet_with(billfold)
            transport.to_lose = 2
            transfer = billfold.transfers.create(from_wallet_id=source.id, to_wallet_id=target.id, amount=TEN)
            assert transport.to_lose == 0
            assert list(billfold.transfers.list(wallet_id=source.id)) == [transfer]

    def test_moves_once_under_a_key_of_the_callers(self, billfold: Billfold):
        """A program that begins again gets the same transfer, and another order under the key is refused."""
        source, target = wallet_with(billfold, TEN), wallet_with(billfold)
        key = f"order-{source.id}"
        first, again = (
            billfold.transfers.create(
                from_wallet_id=source.id, to_wallet_id=target.id, amount=("1", "EUR"), idempotency_key=key
            )
            for _ in range(2)
        )
        assert first == again
        with pytest.raises(errors.IdempotencyKeyReused):
            billfold.transfers.create(
                from_wallet_id=source.id, to_wallet_id=target.id, amount=("2", "EUR"), idempotency_key=key
            )

    def test_is_refused_by_name(self, billfold: Billfold):
        """A refusal is its class, with its facts."""
        source, target = wallet_with(billfold, TEN), wallet_with(billfold)
        with pytest.raises(errors.InsufficientFunds) as caught:
            billfold.transfers.create(from_wallet_id=source.id, to_wallet_id=target.id, amount=("10.01", "EUR"))
        error = caught.value
        assert (error.status, error.available_minor, error.required_minor) == (409, 1000, 1001)
        assert (error.request_id or "").startswith("req_")

    def test_moves_in_bulk(self, billfold: Billfold):
        """Each item has its verdict, a problem in one becomes an error, and the same orders again move nothing."""
        source, target = wallet_with(billfold, TEN), wallet_with(billfold)
        orders = [
            order(from_wallet_id=source.id, to_wallet_id=target.id, amount=(amount, "EUR"), description="Wages")
            for amount in ("4", "7", "6")
        ]
        verdicts = billfold.transfers.bulk(orders)
        assert [each.idempotency_key for each in verdicts.results] == [each.idempotency_key for each in orders]
        assert (verdicts.carried_out, verdicts.refused, verdicts.replayed) == (2, 1, 0)
        problem = verdicts.results[1].problem
        assert problem is not None
        error = as_error(problem)
        assert isinstance(error, errors.InsufficientFunds)
        assert (error.status, error.available_minor, error.request_id) == (409, 600, problem.request_id)
        again = billfold.transfers.bulk(orders)
        assert [each.transfer for each in again.results] == [each.transfer for each in verdicts.results]
        assert (again.replayed, len(list(billfold.transfers.list(wallet_id=source.id)))) == (3, 2)

    def test_moves_all_together_or_not_at_all(self, billfold: Billfold):
        """In an atomic bulk a refused item takes the others along, and each says which one it was."""
        source, target = wallet_with(billfold, TEN), wallet_with(billfold)
        orders = [
            order(from_wallet_id=source.id, to_wallet_id=target.id, amount=Money(amount, "EUR")) for amount in (1, 1001)
        ]
        aborted, refused = billfold.transfers.bulk(orders, mode=BulkMode.ATOMIC).results
        assert aborted.problem is not None
        assert refused.problem is not None
        assert (aborted.problem.code, aborted.problem.facts) == ("bulk_aborted", {"refused_item": 1})
        assert refused.problem.code == "insufficient_funds"
        assert list(billfold.transfers.list(wallet_id=source.id)) == []

    def test_moves_in_any_number(self, live: LiveServer):
        """More than a request may hold goes out in several, and an answer that is lost on the way costs nothing."""
        transport = LosesAnswers()
        with Billfold(**options(live), transport=transport) as billfold:
            source, target = wallet_with(billfold, Money(2_500, "EUR")), wallet_with(billfold)
            transport.to_lose = 1
            verdicts = list(
                billfold.transfers.bulk_each(
                    order(
                        from_wallet_id=source.id, to_wallet_id=target.id, amount=Money(1, "EUR"), metadata={"n": f"{n}"}
                    )
                    for n in range(2_500)
                )
            )
            made = [each.transfer for each in verdicts if each.transfer is not None]
            assert [each.metadata["n"] for each in made] == [f"{n}" for n in range(2_500)]
            assert [each.available_minor for each in billfold.wallets.balances(target.id)] == [2_500]
            assert sum(each.replayed for each in verdicts) == 1_000

    def test_is_undone(self, billfold: Billfold):
        """A transfer is reversed in part, and what remains in a second step."""
        source, target = wallet_with(billfold, TEN), wallet_with(billfold)
        transfer = billfold.transfers.create(from_wallet_id=source.id, to_wallet_id=target.id, amount=TEN)
        entry = billfold.transfers.reverse(transfer.id, amount_minor=400, reason="Half of it came back")
        assert entry.reverses == transfer.journal_entry_id
        billfold.transfers.reverse(transfer.id)
        assert billfold.transfers.get(transfer.id).reversed_minor == 1000

    def test_is_held_captured_and_released(self, billfold: Billfold):
        """A hold reserves, a capture takes part of it, and the rest is given back."""
        source, target = wallet_with(billfold, TEN), wallet_with(billfold)
        hold = billfold.holds.create(wallet_id=source.id, amount=("6", "EUR"), to_wallet_id=target.id)
        hold = billfold.holds.capture(hold.id, amount_minor=200, final=False)
        assert (hold.status, hold.captured_minor, hold.remaining_minor) == (HoldStatus.OPEN, 200, 400)
        hold = billfold.holds.release(hold.id)
        assert (hold.status, hold.released_minor) == (HoldStatus.RELEASED, 400)
        assert [each.id for each in billfold.holds.list(wallet_id=source.id, status="released")] == [hold.id]

    def test_is_withdrawn(self, billfold: Billfold):
        """Money leaves for the outside."""
        wallet = wallet_with(billfold, TEN)
        withdrawal = billfold.withdrawals.create(wallet_id=wallet.id, amount=("4", "EUR"))
        assert withdrawal.balance_after_minor == 600
        assert billfold.withdrawals.get(withdrawal.id) == withdrawal

    def test_is_paid_out(self, billfold: Billfold, live: LiveServer):
        """A payment reaches a wallet here at once, and an account elsewhere by the rail, once if an answer is lost."""
        source, target = wallet_with(billfold, TEN), wallet_with(billfold)
        here = PaymentCreditor(scheme=CreditorScheme.WALLET, identification=target.id)
        paid = billfold.payments.create(wallet_id=source.id, amount=("2.50", "EUR"), creditor=here, metadata={"n": "1"})
        assert (paid.kind, paid.status, paid.consent_id) == (PaymentKind.CREDIT_TRANSFER, PaymentStatus.CREDITED, None)
        assert (paid.to_wallet_id, paid.metadata) == (target.id, {"n": "1"})
        assert billfold.payments.get(paid.id) == paid
        outside = PaymentCreditor(
            scheme=CreditorScheme.IBAN, identification="GB33BUKB20201555555555", name="Grace Hopper"
        )
        transport = LosesAnswers()
        with Billfold(**options(live), transport=transport) as losing:
            losing.tenant.get()
            transport.to_lose = 1
            sent = losing.payments.create(wallet_id=source.id, amount=("2.50", "EUR"), creditor=outside)
        until(lambda: billfold.payments.get(sent.id).status is PaymentStatus.SETTLED)
        assert [each.id for each in billfold.payments.list(wallet_id=source.id)] == [sent.id, paid.id]
        with pytest.raises(errors.InsufficientFunds):
            billfold.payments.create(wallet_id=source.id, amount=TEN, creditor=outside)

    def test_is_posted_by_hand(self, billfold: Billfold):
        """A journal entry is made of debits and credits, and shows on the accounts."""
        suffix = secrets.token_hex(4)
        cash = billfold.accounts.create(code=f"cash-{suffix}", type="asset", currency="EUR")
        equity = billfold.accounts.create(code=f"equity-{suffix}", type="equity", currency="EUR")
        entry = billfold.journal_entries.create(postings=[debit(cash.id, TEN), credit(equity.id, TEN)])
        assert [each.amount_minor for each in entry.postings] == [1000, -1000]
        assert billfold.accounts.balance(cash.id).posted_minor == 1000
        assert [line.amount_minor for line in billfold.accounts.statement(equity.id)] == [1000]
        assert billfold.journal_entries.reverse(entry.id).reverses == entry.id
        with pytest.raises(errors.UnbalancedEntry):
            billfold.journal_entries.create(postings=[debit(cash.id, TEN), credit(equity.id, ("9", "EUR"))])


class TestAnObject:
    def test_changes_only_as_it_was_read(self, billfold: Billfold):
        """A version that isn't the present one is refused."""
        party = billfold.parties.create(kind="company", name="Analytical Engines Ltd", external_id=secrets.token_hex(4))
        changed = billfold.parties.update(party.id, name="Analytical Engines plc", if_match=party.version)
        assert (changed.name, changed.version) == ("Analytical Engines plc", party.version + 1)
        with pytest.raises(errors.PreconditionFailed):
            billfold.parties.update(party.id, external_id=None, if_match=party.version)
        assert billfold.parties.update(party.id, external_id=None).external_id is None

    def test_is_found_by_what_it_is_called(self, billfold: Billfold):
        """A wallet is found by an alias, until that is taken away."""
        wallet = wallet_with(billfold)
        alias = billfold.wallets.aliases.create(wallet.id, scheme="reference", value=f"R-{wallet.id}")
        assert [each.id for each in billfold.wallets.list(alias=alias.value)] == [wallet.id]
        billfold.wallets.aliases.delete(wallet.id, alias.id)
        assert list(billfold.wallets.aliases.list(wallet.id)) == []

    def test_is_frozen_and_closed(self, billfold: Billfold):
        """Nothing leaves a frozen wallet; an empty one can be closed."""
        wallet, other = wallet_with(billfold, TEN), wallet_with(billfold)
        assert billfold.wallets.freeze(wallet.id, reason="Lost phone").status is WalletStatus.FROZEN
        with pytest.raises(errors.WalletFrozen):
            billfold.transfers.create(from_wallet_id=wallet.id, to_wallet_id=other.id, amount=TEN)
        assert is_known(billfold.wallets.unfreeze(wallet.id, reason="Found again").status)
        assert billfold.wallets.close(other.id, reason="Not needed").status == "closed"

    def test_is_listed_over_many_pages(self, billfold: Billfold):
        """All of a long list come, each once."""
        wallet = wallet_with(billfold)
        made = {billfold.top_ups.create(wallet_id=wallet.id, amount=Money(1, "EUR")).id for _ in range(7)}
        listed = [each.id for each in billfold.top_ups.list(wallet_id=wallet.id, limit=3)]
        assert (len(listed), set(listed)) == (7, made)
        assert [len(each.data) for each in billfold.top_ups.list(wallet_id=wallet.id, limit=3).pages()] == [3, 3, 1]


MT940 = b"""{1:F01BANKDEFFAXXX0000000000}{2:O9400000000000BANKDEFFXXXX00000000000000000000N}{4:
:20:STARTUMS
:25:10020030/1234567
:28C:00001/001
:60F:C261118EUR1000,00
:61:2611191119C250,00NTRFNONREF
:86:Invoice 4711
:62F:C261119EUR1250,00
-}"""


class TestAStatement:
    def test_waits_in_suspense_until_it_is_assigned(self, billfold: Billfold):
        """An entry that names no wallet is assigned to one by hand, and the file a second time changes nothing."""
        wallet = wallet_with(billfold)
        imported = billfold.statements.import_file(MT940)
        (statement,) = imported.statements
        assert (statement.difference_minor, statement.suspense, statement.cash_after_minor) == (0, 1, 125_000)
        (entry,) = billfold.statement_entries.list(statement_import_id=imported.id, outcome="suspense")
        interest = billfold.accounts.create(code="interest", type="income", currency="EUR")
        assigned = billfold.statement_entries.assign(entry.id, account_id=interest.id)
        assert (assigned.account_id, assigned.wallet_id) == (interest.id, None)
        billfold.journal_entries.reverse(str(assigned.assigning_journal_entry_id))
        assert billfold.statement_entries.assign(entry.id, wallet_id=wallet.id).wallet_id == wallet.id
        assert [each.available_minor for each in billfold.wallets.balances(wallet.id)] == [25_000]
        (again,) = billfold.statements.import_file(MT940).statements
        assert (again.duplicates, again.cash_after_minor) == (1, 125_000)

    def test_that_is_none_says_where(self, billfold: Billfold):
        """A file that can't be read is refused with line and reason."""
        with pytest.raises(errors.StatementUnreadable) as caught:
            billfold.statements.import_file(b"<Document>not a statement")
        assert caught.value.reason


class TestTheTenant:
    def test_tells_what_happened(self, billfold: Billfold):
        """Events come in order, and the audit knows who froze a wallet and why."""
        wallet = wallet_with(billfold)
        billfold.wallets.freeze(wallet.id, reason="Lost phone")
        assert "Lost phone" in [each.reason for each in billfold.audit_records.list(object_id=wallet.id)]
        sequences = [each.sequence for each in billfold.events.list(limit=100)]
        assert sequences == sorted(set(sequences))

    def test_moves_its_clock(self, billfold: Billfold):
        """A sandbox's clock goes forward by a while."""
        before = billfold.clock.get()
        assert before.controllable
        assert billfold.clock.advance(timedelta(days=1)).now >= before.now + timedelta(days=1)

    def test_shows_itself(self, billfold: Billfold):
        """The client learns whom it talks to."""
        tenant = billfold.tenant.get()
        assert (tenant.slug, tenant.sandbox, "EUR" in tenant.currencies) == ("alpha", True, True)


class TestCredentials:
    def test_that_are_wrong_are_refused(self, live: LiveServer):
        """A wrong secret is an error of its family, with OAuth's word for it."""
        with Billfold(**{**options(live), "client_secret": "wrong"}) as billfold:
            with pytest.raises(errors.AuthenticationFailed) as caught:
                billfold.tenant.get()
            assert caught.value.facts["oauth_error"] == "invalid_client"

    def test_that_allow_less_are_refused_by_name(self, live: LiveServer):
        """The error names the scope that is lacking."""
        with Billfold(**options(live, scopes=["tenant:read"])) as billfold:
            assert billfold.tenant.get().slug == "alpha"
            with pytest.raises(errors.InsufficientScope) as caught:
                list(billfold.wallets.list())
            assert caught.value.scope == "wallets:read"

    def test_of_operators_open_the_platform(self, live: LiveServer):
        """Another client looks after the tenants."""
        with BillfoldPlatform(**options(live, None)) as platform:
            assert platform.tenants.get("alpha").slug == "alpha"
            assert "alpha" in [each.slug for each in platform.tenants.list()]
            with pytest.raises(errors.UnknownTenant):
                platform.tenants.get("nobody")

    def test_of_operators_make_and_end_a_tenant(self, live: LiveServer):
        """A tenant is applied, suspended, resumed, migrated and deleted, each by its name."""
        slug = f"t{secrets.token_hex(4)}"
        with BillfoldPlatform(**options(live, None)) as platform:
            made = platform.tenants.apply(slug=slug, manifest=msgspec.to_builtins(manifest(slug)))
            assert (made.slug, made.state) == (slug, TenantState.ACTIVE)
            assert platform.tenants.suspend(slug, reason="A test").state is TenantState.SUSPENDED
            assert platform.tenants.resume(slug, reason="Still a test").state is TenantState.ACTIVE
            assert platform.tenants.migrate(slug).schema_version == made.schema_version
            platform.tenants.suspend(slug, reason="The end")
            platform.tenants.delete(slug, confirm=slug)
            until(lambda: slug not in [each.slug for each in platform.tenants.list()])
            done = [each.action for each in platform.audit_records.list(object_id=made.id, limit=2)]
            assert (done[0], done[-1]) == ("tenant.deleted", "tenant.created")

    def test_of_operators_lists_dead_jobs_and_retries_one(self, live: LiveServer):
        """A dead job is read as its type, and is none any more once it is retried."""
        dead = DeadJobs(live, "alpha").fresh()
        with BillfoldPlatform(**options(live, None)) as platform:
            (shown,) = [each for each in platform.dead_jobs.list("alpha", limit=1) if each.id == dead]
            assert (shown.attempts, shown.last_error) == (8, "keys_unavailable")
            platform.dead_jobs.retry("alpha", dead)
            assert dead not in [each.id for each in platform.dead_jobs.list("alpha")]
            with pytest.raises(errors.JobStateRefuses):
                platform.dead_jobs.retry("alpha", dead)


class TestTheOtherMode:
    async def test_moves_in_bulk(self, live: LiveServer):
        """Items go out and verdicts come in, one after the other."""
        async with AsyncBillfold(**options(live)) as billfold:
            party = await billfold.parties.create(kind="person", name="Grace Hopper")
            source, target = [await billfold.wallets.create(party_id=party.id) for _ in range(2)]
            await billfold.top_ups.create(wallet_id=source.id, amount=TEN)
            orders = [order(from_wallet_id=source.id, to_wallet_id=target.id, amount=("5", "EUR")) for _ in range(3)]
            statuses = [each.status async for each in billfold.transfers.bulk_each(orders)]
            assert statuses == [201, 201, 409]
            assert (await billfold.transfers.bulk(orders)).replayed == 3

    async def test_does_the_same(self, live: LiveServer):
        """Fifty transfers at once, over one client, each booked once."""
        async with AsyncBillfold(**options(live)) as billfold:
            party = await billfold.parties.create(kind="person", name="Grace Hopper")
            source, target = [await billfold.wallets.create(party_id=party.id) for _ in range(2)]
            await billfold.top_ups.create(wallet_id=source.id, amount=TEN)

            async def move() -> Transfer:
                return await billfold.transfers.create(
                    from_wallet_id=source.id, to_wallet_id=target.id, amount=Money(10, "EUR")
                )

            made = await asyncio.gather(*(move() for _ in range(50)))
            listed = [each.id async for each in billfold.transfers.list(wallet_id=source.id, limit=20)]
            assert (len(listed), set(listed)) == (50, {each.id for each in made})
            assert (await billfold.wallets.get(source.id)).balances[0].available_minor == 500


class LosesAnswers:
    """A transport whose answers to orders are lost on the way back, as often as it is told."""

    def __init__(self) -> None:
        self.to_lose = 0
        self._real = HttpxTransport()

    def send(self, request: Request) -> Response:
        """Let the server answer, and lose it."""
        answer = self._real.send(request)
        if request.method == "POST" and self.to_lose:
            self.to_lose -= 1
            raise errors.ConnectionFailed("the answer was lost")
        return answer

    def close(self) -> None:
        """Give back connections."""
        self._real.close()
