"""Sandboxes of a partner organisation's own, for trying out what it builds: each a tenant without anybody's data."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from billfold.contract.common import Instant, PartnerId, PartnerSandboxId, Request, Response

__all__ = [
    "CreatePartnerSandbox",
    "PartnerSandbox",
    "PartnerSandboxCredentials",
    "PartnerSandboxState",
    "PartnerSandboxStep",
    "ResetPartnerSandbox",
]

Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=40,
        pattern=r"^[^\u0000-\u001f\u007f]+$(?!\n)",
        description="What people call it; a partner has each name once.",
        examples=["checkout"],
    ),
]
Seeded = Annotated[bool, Meta(description="Whether there are customers in it, with months behind them.")]
Seed = Annotated[
    int,
    Meta(
        ge=0,
        le=2**31 - 1,
        description="From what its customers follow: the same seed makes the same ones, in each sandbox.",
        examples=[7],
    ),
]


class PartnerSandboxState(StrEnum):
    """What can be done with a sandbox: all, or nothing until what was asked for last is done."""

    PREPARING = "preparing"
    READY = "ready"
    RESETTING = "resetting"
    REMOVING = "removing"


class PartnerSandboxStep(StrEnum):
    """How far it is with what was asked for last."""

    QUEUED = "queued"
    TENANT = "tenant"
    CUSTOMERS = "customers"
    DONE = "done"


def _refuse_seed_of_nobody(seeded: bool | None, seed: int | None) -> None:  # noqa: FBT001 - as the body has it
    if seeded is False and seed is not None:
        msg = "nobody follows from the seed of an empty sandbox"
        raise ValueError(msg)


class CreatePartnerSandbox(Request, frozen=True, kw_only=True):
    """A new sandbox."""

    name: Name
    seeded: Seeded = True
    seed: Seed | None = None

    def __post_init__(self) -> None:
        """Refuse a seed of nobody.

        Raises:
            ValueError: It is to be empty, and has a seed.
        """
        _refuse_seed_of_nobody(self.seeded, self.seed)


class ResetPartnerSandbox(Request, frozen=True, kw_only=True):
    """What a sandbox begins with, once everything in it is gone. What is absent is as before."""

    seeded: Seeded | None = None
    seed: Seed | None = None

    def __post_init__(self) -> None:
        """Refuse a seed of nobody.

        Raises:
            ValueError: It is to be empty, and has a seed.
        """
        _refuse_seed_of_nobody(self.seeded, self.seed)


class PartnerSandbox(Response, frozen=True, kw_only=True):
    """A sandbox of a partner organisation."""

    id: PartnerSandboxId
    partner_id: PartnerId
    name: str
    state: PartnerSandboxState
    step: Annotated[
        PartnerSandboxStep,
        Meta(
            description="How far it is with what was asked for last: `queued`, the `tenant` is being made or emptied, "
            "its `customers` are, or all is `done`."
        ),
    ]
    seeded: Seeded
    seed: Annotated[int | None, Meta(description="From what its customers follow; null where it is empty.")]
    base_url: Annotated[
        str,
        Meta(
            description="Its address, which the SDK takes. Nobody answers there before it is ready.",
            examples=["https://billfold.example/t/demo_bank-81gh4nmw"],
        ),
    ]
    created_at: Instant
    updated_at: Instant


class PartnerSandboxCredentials(Response, frozen=True, kw_only=True):
    """An API client that may do everything in a sandbox. The secret is shown this once."""

    _secrets = frozenset({"client_secret"})

    base_url: str
    client_id: str
    client_secret: str
