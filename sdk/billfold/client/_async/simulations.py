"""What happens outside of a sandbox, as a program has it happen."""

from typing import Literal

from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._async.resource import AsyncPages, AsyncResource
from billfold.client._encoding import Amount
from billfold.contract.sandbox import Dependency, IncomingScheme, MagicValues, SandboxReset, Simulation, SimulationKind

__all__ = ["AsyncOwnSandbox", "AsyncSimulations"]

_Scheme = IncomingScheme | Literal["iban", "sort_code_account_number", "wallet"]
_Dependency = Dependency | Literal["rail", "key_store", "decryptor"]
_Kind = (
    SimulationKind
    | Literal[
        "incoming_transfer",
        "payment_return",
        "decline",
        "webhook_delay",
        "webhook_duplicate",
        "vault_seal",
        "outage",
        "slow_answers",
    ]
)


class AsyncOwnSandbox(AsyncResource):
    """The sandbox that the tenant is: ``billfold.sandbox``."""

    __slots__ = ()

    async def reset(self, *, seeded: bool | None = None, seed: int | None = None) -> SandboxReset:
        """Bring the sandbox back to its beginning. API clients, webhook endpoints, staff and the audit trail stay.

        Args:
            seeded: Whether there are customers with months behind them afterwards; as before where absent.
            seed: From what they follow: the same seed makes the same ones, with the same names, wallets, amounts and
                ids of parties and wallets. As before where absent.

        Raises:
            errors.SandboxOnly: The tenant is no sandbox.
            errors.FeatureDisabled: The server can't delete what lies in a ledger.
        """
        body = encoding.fields(seeded=seeded, seed=seed)
        return await self._change(operations.RESET_SANDBOX, body=body, repeatable=True)


class AsyncSimulations(AsyncResource):
    """What happens outside of a sandbox: ``billfold.simulations``.

    Each ends by itself, after so many times or so much of the tenant's time, and concerns its own tenant alone. Where
    the tenant is no sandbox, all of them are refused by ``errors.SandboxOnly``.
    """

    __slots__ = ()

    async def incoming_transfer(
        self,
        identification: str,
        *,
        scheme: _Scheme = "wallet",
        amount: Amount,
        debtor_name: str | None = None,
        reference: str | None = None,
        idempotency_key: str | None = None,
    ) -> Simulation:
        """Let money arrive from an account outside.

        Args:
            identification: For which account here: a wallet's id, or its number.
            scheme: Which of these it is.
            amount: ``Money(5000, "EUR")`` or ``("50.00", "EUR")``.
            debtor_name: From whom.
            reference: What they have written.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.SandboxOnly: The tenant is no sandbox.
            errors.RailUnavailable: The simulated rail isn't there.
        """
        body = encoding.fields(
            identification=identification,
            scheme=scheme,
            amount=encoding.money(amount),
            debtor_name=debtor_name,
            reference=reference,
        )
        return await self._order(operations.SIMULATE_INCOMING_TRANSFER, body=body, idempotency_key=idempotency_key)

    async def payment_return(
        self,
        payment_id: str,
        *,
        amount: Amount | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> Simulation:
        """Let a settled payment's money come back, whole or in part.

        Args:
            payment_id: Which payment's.
            amount: How much; all of it that is still outside where absent.
            reason: Why, as a code of ISO 20022 such as ``AC04``.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.SandboxOnly: The tenant is no sandbox.
            errors.NotFound: There is no such payment.
            errors.PaymentNotReturnable: Its money hasn't left, or has come back.
            errors.CurrencyMismatch: It was paid in another currency.
            errors.ReturnExceedsPayment: Less of it is still outside.
        """
        money = None if amount is None else encoding.money(amount)
        body = encoding.fields(payment_id=payment_id, amount=money, reason=reason)
        return await self._order(operations.SIMULATE_PAYMENT_RETURN, body=body, idempotency_key=idempotency_key)

    async def declines(
        self,
        *,
        reason: str | None = None,
        times: int | None = None,
        for_s: int | None = None,
        idempotency_key: str | None = None,
    ) -> Simulation:
        """Have the rail reject the next payments.

        Args:
            reason: Why, as a code of ISO 20022 such as ``AC04``.
            times: How many; one where absent.
            for_s: For how long at most, in seconds of the tenant's clock.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.SandboxOnly: The tenant is no sandbox.
        """
        body = encoding.fields(reason=reason, times=times, for_s=for_s)
        return await self._order(operations.SIMULATE_DECLINES, body=body, idempotency_key=idempotency_key)

    async def webhook_delay(
        self, delay_s: int, *, times: int | None = None, for_s: int | None = None, idempotency_key: str | None = None
    ) -> Simulation:
        """Let webhook deliveries of what happens next set out late.

        Args:
            delay_s: How late, in seconds of the tenant's clock.
            times: How many deliveries; one where absent.
            for_s: For how long at most, in seconds of the tenant's clock.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.SandboxOnly: The tenant is no sandbox.
        """
        body = encoding.fields(delay_s=delay_s, times=times, for_s=for_s)
        return await self._order(operations.SIMULATE_WEBHOOK_DELAY, body=body, idempotency_key=idempotency_key)

    async def webhook_duplicates(
        self,
        *,
        copies: int | None = None,
        times: int | None = None,
        for_s: int | None = None,
        idempotency_key: str | None = None,
    ) -> Simulation:
        """Let the next webhook deliveries arrive more than once, with one id.

        Args:
            copies: How often each arrives; twice where absent.
            times: How many deliveries; one where absent.
            for_s: For how long at most, in seconds of the tenant's clock.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.SandboxOnly: The tenant is no sandbox.
        """
        body = encoding.fields(copies=copies, times=times, for_s=for_s)
        return await self._order(operations.SIMULATE_WEBHOOK_DUPLICATES, body=body, idempotency_key=idempotency_key)

    async def vault_seal(self, *, for_s: int | None = None, idempotency_key: str | None = None) -> Simulation:
        """Seal the key service, so that what needs a key is refused by ``keys_unavailable``.

        Args:
            for_s: For how long, in seconds of the tenant's clock; five minutes where absent, and a quarter of an hour
                of real time at the longest.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.SandboxOnly: The tenant is no sandbox.
        """
        body = encoding.fields(for_s=for_s)
        return await self._order(operations.SIMULATE_VAULT_SEAL, body=body, idempotency_key=idempotency_key)

    async def outage(
        self, dependency: _Dependency, *, for_s: int | None = None, idempotency_key: str | None = None
    ) -> Simulation:
        """Let something that the platform leans on be away.

        Args:
            dependency: What.
            for_s: For how long, in seconds of the tenant's clock; five minutes where absent, and a quarter of an hour
                of real time at the longest.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.SandboxOnly: The tenant is no sandbox.
        """
        body = encoding.fields(dependency=dependency, for_s=for_s)
        return await self._order(operations.SIMULATE_OUTAGE, body=body, idempotency_key=idempotency_key)

    async def slow_answers(
        self, delay_ms: int, *, times: int | None = None, for_s: int | None = None, idempotency_key: str | None = None
    ) -> Simulation:
        """Let the next answers come late, but for those about the sandbox itself.

        Args:
            delay_ms: How late.
            times: How many; one where absent.
            for_s: For how long at most, in seconds of the tenant's clock.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.SandboxOnly: The tenant is no sandbox.
        """
        body = encoding.fields(delay_ms=delay_ms, times=times, for_s=for_s)
        return await self._order(operations.SIMULATE_SLOW_ANSWERS, body=body, idempotency_key=idempotency_key)

    async def get(self, simulation_id: str) -> Simulation:
        """Return a simulation, with what has come of it.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return await self._ask(operations.GET_SIMULATION, simulation_id)

    def list(
        self, *, kind: _Kind | None = None, limit: int | None = None, cursor: str | None = None
    ) -> AsyncPages[Simulation]:
        """List simulations, those that have ended too, the newest first.

        Args:
            kind: Only those of this kind, such as ``"outage"``.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        return self._list(operations.LIST_SIMULATIONS, query=encoding.query(kind=kind, limit=limit, cursor=cursor))

    async def cancel(self, simulation_id: str) -> None:
        """End a simulation; one that has ended stays as it is.

        Raises:
            errors.NotFound: There is none with this id.
        """
        await self._change(operations.CANCEL_SIMULATION, simulation_id, repeatable=True)

    async def clear(self) -> None:
        """End every simulation that goes on.

        Raises:
            errors.SandboxOnly: The tenant is no sandbox.
        """
        await self._change(operations.CANCEL_SIMULATIONS, repeatable=True)

    async def magic_values(self) -> MagicValues:
        """Return the values by which a payment has the simulated rail behave in another way than usual."""
        return await self._ask(operations.LIST_MAGIC_VALUES)
