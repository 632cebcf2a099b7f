"""What is said to a rail, and what a rail says."""

from datetime import datetime
from typing import Final, Literal, Protocol, get_args, runtime_checkable

import msgspec

from billfold.money import Money

__all__ = [
    "WORDS",
    "Account",
    "Credit",
    "Instruction",
    "Notice",
    "RailConnector",
    "RailReceiver",
    "RailSilent",
    "Report",
    "Word",
]

Word = Literal["pending", "accept", "change", "settle", "credit", "reject", "cancel", "block"]
"""What a rail says of a payment: it isn't decided; it is accepted, as ordered or with a change; its money has left; has
arrived; goes back, because it was refused or called off; or stays where it is, and comes neither on nor back."""

WORDS: Final[tuple[Word, ...]] = get_args(Word)


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account at some bank.

    Attributes:
        scheme: In which words it is named, as the order has it, such as ``UK.OBIE.SortCodeAccountNumber``.
        identification: Its number.
        name: Whose it is.
        secondary: What a building society needs beside the number.
    """

    scheme: str
    identification: str
    name: str | None = None
    secondary: str | None = None


class Instruction(msgspec.Struct, frozen=True, kw_only=True):
    """An order to a rail.

    Attributes:
        key: The payment's own id. A rail carries an order out once under a key, however often it is given. It isn't the
            end-to-end id, which third parties choose, and which two of them may choose alike.
        amount: How much.
        creditor: To whom.
        end_to_end_id: The third party's name for the payment, which goes with it to the payee.
        reference: What the payer has written to the payee.
        instrument: By which means the third party would like it sent.
    """

    key: str
    amount: Money
    creditor: Account
    end_to_end_id: str
    reference: str | None = None
    instrument: str | None = None


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a rail has said.

    Attributes:
        id: The rail's own name for this notice; the same words under another id were said again.
        word: What it says.
        reason: Why, as a code of ISO 20022.
        at: When, by the rail's clock.
    """

    id: str
    word: Word
    reason: str | None = None
    at: datetime | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All that a rail has said of a payment so far.

    Attributes:
        reference: What the rail calls it.
        notices: In the order in which they were given.
    """

    reference: str | None = None
    notices: tuple[Notice, ...] = ()


class Credit(msgspec.Struct, frozen=True, kw_only=True):
    """Money that a rail has for us.

    Attributes:
        key: The rail's own name for it. It is ours once, however often the rail tells of it.
        amount: How much.
        debtor: From whom.
        creditor: For which account here.
        end_to_end_id: The sender's name for it.
        reference: What the sender has written.
        returns: The key of the payment of ours that comes back by it, where one does.
        reason: Why that does, as a code of ISO 20022.
    """

    key: str
    amount: Money
    debtor: Account
    creditor: Account
    end_to_end_id: str
    reference: str | None = None
    returns: str | None = None
    reason: str | None = None


class RailSilent(Exception):
    """No answer came, so nobody knows whether the rail has the order."""


class RailConnector(Protocol):
    """Speaks with one rail. Nothing of it may be called within a transaction."""

    @property
    def name(self) -> str:
        """What the rail is called, in lower case and without blanks; payments and accounts keep it."""
        ...

    async def submit(self, instruction: Instruction) -> Report:
        """Give an order. Given again under the same key, it is answered with what has been said since.

        Raises:
            RailSilent: No answer came.
        """
        ...

    async def inquire(self, key: str) -> Report | None:
        """Ask what has become of an order; None is that the rail doesn't know of it, and so never had it.

        Raises:
            RailSilent: No answer came.
        """
        ...


@runtime_checkable
class RailReceiver(Protocol):
    """What a rail does besides, by which money comes in. Nothing of it may be called within a transaction."""

    async def find_credit(self, key: str) -> Credit | None:
        """Return the money of a name, if it waits for our answer.

        Raises:
            RailSilent: No answer came.
        """
        ...

    async def answer(self, key: str, *, taken: bool) -> None:
        """Tell the rail that money was booked, or that it goes back; told again, it changes nothing.

        Raises:
            RailSilent: No answer came.
        """
        ...
