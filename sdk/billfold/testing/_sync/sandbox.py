# Generated from billfold/testing/_async/sandbox.py by tests/sdk/generate_sync.py. Change that one instead.

"""A sandbox as a test sees it: a tenant of its own, whose time and people it arranges in a line each."""

from datetime import datetime, timedelta
from typing import Any

from billfold.client._encoding import Amount
from billfold.client._sync.client import Billfold
from billfold.contract.parties import Party
from billfold.contract.platform import Event, TenantClock
from billfold.contract.wallets import TopUp, Transfer, Wallet
from billfold.contract.webhooks import WebhookEndpointCreated
from billfold.money import Money
from billfold.testing._sync.backend import off_loop
from billfold.testing.receiver import Delivered, Receiver

__all__ = ["Inbox", "Sandbox", "TestClock", "Webhooks"]

_SECOND = timedelta(seconds=1)


class TestClock:
    """The sandbox's time, by which holds expire, consents lapse and schedules fire: ``sandbox.clock``."""

    __test__ = False
    __slots__ = ("_client",)

    def __init__(self, client: Billfold) -> None:
        self._client = client

    def now(self) -> datetime:
        """Return the sandbox's time, aware and in UTC."""
        return (self._client.clock.get()).now

    def freeze(self, at: datetime | None = None) -> datetime:
        """Stop the clock, and return where it stands.

        Args:
            at: Where, which mustn't be past; at the next full second where absent.
        """
        if at is None:
            # While it ran, the next second could be over before it was told.
            stood = (self._client.clock.advance(timedelta(0), freeze=True)).now
            at = (stood + _SECOND).replace(microsecond=0)
        return (self._client.clock.advance(to=at, freeze=True)).now

    def advance(
        self,
        by: timedelta | None = None,
        *,
        to: datetime | None = None,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
    ) -> datetime:
        """Move the clock forward, and return where it is then; what falls due on the way has happened.

        A clock that stands stands there, too, and one that runs goes on from there.

        Args:
            by: How far.
            to: Until when, instead of how far.
            days: How far, in days.
            hours: In hours, beside the days.
            minutes: In minutes, beside both.

        Raises:
            TypeError: It isn't said how far, or said in two ways.
            errors.ClockMovesForward: That instant is past.
        """
        if by is not None and not isinstance(by, timedelta):
            raise TypeError("a clock is advanced by a timedelta, such as timedelta(days=90)")
        parts = timedelta(days=days, hours=hours, minutes=minutes)
        if (by is not None) + (to is not None) + bool(parts) != 1:
            raise TypeError("a clock is advanced by a timedelta, or by days, hours and minutes, or to an instant")
        clock: TenantClock = self._client.clock.get()
        by = None if to else by or parts
        return (self._client.clock.advance(by, to=to, freeze=clock.frozen)).now

    def run(self) -> datetime:
        """Let the clock run on from where it stands, and return what it shows."""
        clock = self._client.clock.get()
        return (self._client.clock.advance(timedelta(0), freeze=False)).now if clock.frozen else clock.now


class Inbox:
    """What one webhook endpoint has received: a real one, on a port of this machine that nobody else reaches.

    Attributes:
        url: Where it listens.
        endpoint: As the sandbox has it registered.
    """

    __slots__ = ("_receiver", "endpoint", "url")

    def __init__(self, receiver: Receiver, endpoint: WebhookEndpointCreated) -> None:
        self._receiver = receiver
        self.url = receiver.url
        self.endpoint = endpoint

    @property
    def delivered(self) -> list[Delivered]:
        """Return what has come so far, each verified by the endpoint's secret, in the order in which it came.

        Raises:
            billfold.webhooks.WebhookRefused: Something has come that may not be believed.
        """
        return self._receiver.delivered()

    def wait_for(self, type: str | None = None, *, count: int = 1, timeout_s: float = 10) -> list[Delivered]:
        """Wait until so many deliveries have come, and return them and whatever else of the kind is there.

        Args:
            type: Only those of this type, such as ``transfer.posted``.
            count: How many.
            timeout_s: For how long.

        Raises:
            TimeoutError: They haven't come in time.
        """
        return off_loop(lambda: self._receiver.wait_for(type, count, timeout_s))

    def answer(self, status: int) -> None:
        """Answer with this status from now on; with another than 2xx, the sandbox tries again later."""
        self._receiver.status = status


class Webhooks:
    """The sandbox's webhooks: ``sandbox.webhooks``."""

    __slots__ = ("_client", "_keep")

    def __init__(self, client: Billfold, keep: list[Receiver]) -> None:
        self._client = client
        self._keep = keep

    def listen(self, *event_types: str, status: int = 204) -> Inbox:
        """Receive from now on what the sandbox delivers, until the test ends.

        ::

            inbox = sandbox.webhooks.listen("transfer.*")
            checkout(sandbox.client, payer=ada.id, payee=shop.id)
            (delivered,) = inbox.wait_for("transfer.posted")

        Args:
            event_types: Which types of events, such as ``"payment.*"``; all where none is named.
            status: With which status it is answered.
        """
        receiver = Receiver(status)
        self._keep.append(receiver)
        endpoint = self._client.webhook_endpoints.create(url=receiver.url, event_types=event_types or None)
        receiver.secret = endpoint.secret
        return Inbox(receiver, endpoint)


class Sandbox:
    """A tenant that nobody has used before, for one test.

    ::

        ada = sandbox.wallet(holding=("50.00", "EUR"))
        shop = sandbox.wallet(sandbox.company("Analytical Engines Ltd"))
        checkout(sandbox.client, payer=ada.id, payee=shop.id)
        assert sandbox.balance(shop) == Money(1250, "EUR")

    Attributes:
        client: A client of the tenant that may do everything: what the program under test is given.
        options: By what a program makes such a client itself: ``Billfold(**sandbox.options)``.
        clock: Its time.
        simulate: What happens outside of it, such as ``sandbox.simulate.incoming_transfer(…)``.
        webhooks: What it delivers.
    """

    __slots__ = ("client", "clock", "options", "simulate", "webhooks")

    def __init__(self, options: dict[str, Any], receivers: list[Receiver] | None = None) -> None:
        self.options = options
        self.client = Billfold(**options)
        self.clock = TestClock(self.client)
        self.simulate = self.client.simulations
        self.webhooks = Webhooks(self.client, [] if receivers is None else receivers)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self.options['base_url']}>"

    def person(self, name: str = "Ada Lovelace", **fields: Any) -> Party:
        """Create a person; the fields are those of ``parties.create``."""
        return self.client.parties.create(kind="person", name=name, **fields)

    def company(self, name: str = "Analytical Engines Ltd", **fields: Any) -> Party:
        """Create a company; the fields are those of ``parties.create``."""
        return self.client.parties.create(kind="company", name=name, **fields)

    def wallet(
        self, owner: Party | str | None = None, *, holding: Amount | None = None, label: str | None = None
    ) -> Wallet:
        """Open a wallet, with money in it if some is named, and return it as it is then.

        Args:
            owner: The party, or its id; a new person where absent.
            holding: ``Money(5000, "EUR")`` or ``("50.00", "EUR")``.
            label: What its owner calls it.
        """
        party_id = _id(self.person() if owner is None else owner)
        wallet = self.client.wallets.create(party_id=party_id, label=label)
        if holding is None:
            return wallet
        self.top_up(wallet, holding)
        return self.client.wallets.get(wallet.id)

    def top_up(self, wallet: Wallet | str, amount: Amount) -> TopUp:
        """Put money from outside into a wallet."""
        return self.client.top_ups.create(wallet_id=_id(wallet), amount=amount)

    def transfer(
        self, amount: Amount, *, source: Wallet | str, target: Wallet | str, description: str | None = None
    ) -> Transfer:
        """Move money from one wallet to another.

        Raises:
            errors.InsufficientFunds: The source doesn't hold it.
        """
        return self.client.transfers.create(
            from_wallet_id=_id(source), to_wallet_id=_id(target), amount=amount, description=description
        )

    def balance(self, wallet: Wallet | str, currency: str | None = None) -> Money:
        """Return what a wallet has available: what is posted less what is held.

        Args:
            wallet: The wallet, or its id.
            currency: In which currency; where absent, the one that the wallet has.

        Raises:
            ValueError: The wallet has several currencies, or none yet, and none is named.
        """
        held = {each.currency: each.available_minor for each in self.client.wallets.balances(_id(wallet))}
        if currency is None:
            if len(held) != 1:
                raise ValueError(f"say which currency: the wallet has {', '.join(sorted(held)) or 'none yet'}")
            (currency,) = held
        return Money(held.get(currency, 0), currency)

    def events(self, type: str | None = None) -> list[Event]:  # As the contract calls it.
        """Return what has happened in the sandbox so far, the oldest first.

        Args:
            type: Only events of this type, such as ``transfer.posted``.
        """
        happened = {event.sequence: event for event in self.client.events.list(type=type, limit=100)}
        return list(happened.values())


def _id(thing: Party | Wallet | str) -> str:
    return thing if isinstance(thing, str) else thing.id
