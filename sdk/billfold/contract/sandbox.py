"""The sandbox: what happens outside of the platform, as a partner has it happen for trying things out.

Each simulation is of one kind, ends by itself, after so many times or at an instant of the tenant's clock, and concerns
its own tenant alone.
"""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta

from billfold import ids
from billfold.contract.common import Instant, PaymentId, Request, Response, Text, TopUpId
from billfold.ids import Prefix
from billfold.money import Money

__all__ = [
    "LONGEST_S",
    "CreateDecline",
    "CreateIncomingTransfer",
    "CreateOutage",
    "CreatePaymentReturn",
    "CreateSlowAnswers",
    "CreateVaultSeal",
    "CreateWebhookDelay",
    "CreateWebhookDuplicate",
    "Dependency",
    "IncomingOutcome",
    "IncomingScheme",
    "MagicValue",
    "MagicValues",
    "ResetSandbox",
    "SandboxReset",
    "Simulation",
    "SimulationId",
    "SimulationKind",
    "SimulationState",
]

LONGEST_S: Final = 90 * 86_400
"""For how long anything is simulated at most, in seconds."""

SimulationId = Annotated[
    str,
    Meta(
        pattern=ids.pattern(Prefix.SIMULATION),
        description="Id of a simulation.",
        examples=["sim_01m7w9tnzcejq9b78b81gh4nmw"],
    ),
]
Times = Annotated[int, Meta(ge=1, le=1000, description="After how many uses it ends.", examples=[1])]
ForS = Annotated[
    int,
    Meta(ge=1, le=LONGEST_S, description="After how many seconds of the tenant's clock it ends.", examples=[300]),
]
ReasonCode = Annotated[
    str,
    Meta(
        pattern=r"^[A-Z]{2}[A-Z0-9]{2}$(?!\n)",
        description="Why, as a code of ISO 20022's external code set of status reasons.",
        examples=["AC04"],
    ),
]


class SimulationKind(StrEnum):
    """What is simulated."""

    INCOMING_TRANSFER = "incoming_transfer"
    PAYMENT_RETURN = "payment_return"
    DECLINE = "decline"
    WEBHOOK_DELAY = "webhook_delay"
    WEBHOOK_DUPLICATE = "webhook_duplicate"
    VAULT_SEAL = "vault_seal"
    OUTAGE = "outage"
    SLOW_ANSWERS = "slow_answers"


class SimulationState(StrEnum):
    """Whether a simulation goes on, or why it doesn't."""

    ACTIVE = "active"
    USED_UP = "used_up"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Dependency(StrEnum):
    """What the platform leans on: the bank's rail, the store of keys, and the process that sees cards."""

    RAIL = "rail"
    KEY_STORE = "key_store"
    DECRYPTOR = "decryptor"


class IncomingOutcome(StrEnum):
    """What has become of money that came in: it is in the wallet, or was refused and went back.

    Of a payment that comes back, what a frozen or closed wallet can't take is ``unclaimed``: the bank owes it.
    """

    CREDITED = "credited"
    UNCLAIMED = "unclaimed"
    REFUSED = "refused"


class IncomingScheme(StrEnum):
    """By what an account here is named outside: a number that is a wallet's alias, or the wallet's own id."""

    IBAN = "iban"
    SORT_CODE_ACCOUNT_NUMBER = "sort_code_account_number"
    WALLET = "wallet"


class CreateIncomingTransfer(Request, frozen=True, kw_only=True):
    """Money that arrives from an account at some bank outside.

    The rail tells of it, and it is booked as a top-up of the wallet. Money for an account that nobody has, or that
    can't take it, is refused.
    """

    scheme: Annotated[IncomingScheme, Meta(examples=["wallet"])]
    identification: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=256,
            pattern=r"^[A-Za-z0-9_]+$(?!\n)",
            description="The account here: its number, or the wallet's id.",
            examples=["wal_01m7w9tnzcejq9b78b81gh4nmw"],
        ),
    ]
    amount: Money
    debtor_name: Annotated[Text, Meta(examples=["Grace Hopper"])] = "Sandbox Sender"
    reference: Annotated[Text, Meta(examples=["Invoice 4711"])] | None = None


class CreatePaymentReturn(Request, frozen=True, kw_only=True):
    """A settled payment whose money comes back, whole or in part, as a payment return (pacs.004) does."""

    payment_id: PaymentId
    amount: Annotated[Money | None, Meta(description="All that is still outside, where absent.")] = None
    reason: ReasonCode = "AC04"


class CreateDecline(Request, frozen=True, kw_only=True):
    """The rail rejects the payments that it is given next."""

    reason: ReasonCode = "AC04"
    times: Times = 1
    for_s: ForS | None = None


class CreateWebhookDelay(Request, frozen=True, kw_only=True):
    """Deliveries to webhook endpoints of what happens next set out late."""

    delay_s: Annotated[
        int, Meta(ge=1, le=259_200, description="How late, in seconds of the tenant's clock.", examples=[60])
    ]
    times: Times = 1
    for_s: ForS | None = None


class CreateWebhookDuplicate(Request, frozen=True, kw_only=True):
    """The next deliveries to webhook endpoints arrive more than once, with one id, as at-least-once allows."""

    copies: Annotated[int, Meta(ge=2, le=10, description="How often each arrives.", examples=[2])] = 2
    times: Times = 1
    for_s: ForS | None = None


class CreateVaultSeal(Request, frozen=True, kw_only=True):
    """The key service is sealed: what keys are asked for is refused with 503 until it is over.

    A quarter of an hour of real time is the longest, since nobody could get a token to end it.
    """

    for_s: ForS = 300


class CreateOutage(Request, frozen=True, kw_only=True):
    """Something that the platform leans on doesn't answer; a quarter of an hour of real time is the longest."""

    dependency: Dependency
    for_s: ForS = 300


class CreateSlowAnswers(Request, frozen=True, kw_only=True):
    """Every answer of the API, but those about the sandbox itself, comes late."""

    delay_ms: Annotated[int, Meta(ge=1, le=10_000, description="How late, in milliseconds.", examples=[100])]
    times: Times = 1
    for_s: ForS | None = None


class Simulation(Response, frozen=True, kw_only=True):
    """Something that is, or was, simulated. Which of the last members there are depends on its kind."""

    id: SimulationId
    kind: SimulationKind
    state: SimulationState
    times: Annotated[int, Meta(ge=1, description="After how many uses it ends.")] | None
    used: Annotated[int, Meta(ge=0, description="How often it was used.")]
    until: Annotated[Instant, Meta(description="When it ends, by the tenant's clock.")] | None
    created_at: Instant
    ended_at: Instant | None
    amount: Money | None = None
    payment_id: PaymentId | None = None
    top_up_id: Annotated[TopUpId, Meta(description="By which money that came in was booked.")] | None = None
    outcome: IncomingOutcome | None = None
    refused_because: Annotated[str, Meta(description="The code of the problem that refused the money.")] | None = None
    reason: Annotated[str, Meta(description="A code of ISO 20022.")] | None = None
    delay_s: int | None = None
    copies: int | None = None
    dependency: Dependency | None = None
    delay_ms: int | None = None


class ResetSandbox(Request, frozen=True, kw_only=True):
    """What a sandbox begins with, once everything in it is gone."""

    seeded: Annotated[
        bool | None,
        Meta(description="Whether there are customers with months behind them; as before where absent."),
    ] = None
    seed: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=2**31 - 1,
                description="From what the customers follow: the same seed makes the same ones, with the same names, "
                "wallets, amounts and ids of parties and wallets. As before where absent.",
                examples=[7],
            ),
        ]
        | None
    ) = None

    def __post_init__(self) -> None:
        """Refuse a seed of nobody.

        Raises:
            ValueError: It is to be empty, and has a seed.
        """
        if self.seeded is False and self.seed is not None:
            msg = "nobody follows from the seed of an empty sandbox"
            raise ValueError(msg)


class SandboxReset(Response, frozen=True, kw_only=True):
    """A sandbox that is as it was at its beginning."""

    now: Annotated[Instant, Meta(description="Its clock, which runs with the real one again.")]
    seeded: Annotated[bool, Meta(description="Whether there are customers in it.")]
    seed: Annotated[
        int | None,
        Meta(description="From what they follow. Their cards come a moment later, when the server has taken them in."),
    ] = None


class MagicValue(Response, frozen=True, kw_only=True):
    """A value that has the simulated rail behave in its own way."""

    word: Annotated[str, Meta(description="In a payment's reference or end-to-end id.")]
    amount_minor: Annotated[int, Meta(description="As a payment's amount, in the currency's minor units.")]
    account_ending: Annotated[str, Meta(description="At the end of the number of the payee's account.")]
    behaviour: Annotated[str, Meta(description="What the rail does.")]


class MagicValues(Response, frozen=True, kw_only=True):
    """Every value that means something to the simulators."""

    data: list[MagicValue]
