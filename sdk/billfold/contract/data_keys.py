"""Data keys: under which a tenant's personal and card data lie, how they are replaced, and how they are destroyed."""

from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from billfold.contract.common import Instant, LongText, PartyId, Request, Response

__all__ = [
    "DataKeyStatus",
    "ForgottenSubject",
    "KeyBackend",
    "KeyDomain",
    "KeyEpoch",
    "KeysOfDomain",
    "RotateDataKeys",
    "ShredSubject",
]


class KeyDomain(StrEnum):
    """What a key is for. Who may open the one can't by that open the other."""

    DATA = "data"
    CARDS = "cards"


class KeyBackend(StrEnum):
    """What keeps the tenant key, which never leaves it."""

    LOCAL = "local"
    VAULT = "vault"


EpochNumber = Annotated[int, Meta(ge=1, le=2**31 - 1, description="Epochs of a domain count up.", examples=[1])]


class KeyEpoch(Response, frozen=True, kw_only=True):
    """A key under which subject keys are wrapped. It is itself wrapped by the tenant key."""

    number: EpochNumber
    current: Annotated[bool, Meta(description="Whether new subject keys are wrapped under it.")]
    backend: KeyBackend
    tenant_key_version: Annotated[int, Meta(ge=1, description="The version of the tenant key that wraps it.")]
    subject_keys: Annotated[int, Meta(ge=0, description="How many are wrapped under it still.")]
    created_at: Instant


class KeysOfDomain(Response, frozen=True, kw_only=True):
    """All keys of a domain."""

    domain: KeyDomain
    backend: KeyBackend
    tenant_key_latest: Annotated[
        int | None, Meta(description="Newest version of the tenant key; null where its backend doesn't answer.")
    ]
    tenant_key_least: Annotated[int | None, Meta(description="Oldest version that still opens anything.")]
    epochs: list[KeyEpoch]
    subjects: Annotated[int, Meta(ge=0, description="How many parties have a key.")]
    subject_keys: Annotated[int, Meta(ge=0, description="Keys of all generations.")]
    generations: Annotated[int, Meta(ge=0, description="The highest generation that any subject's key has.")]
    seals_reserved: Annotated[int, Meta(ge=0, description="For how many values subject keys have been drawn on.")]
    awaiting_rewrap: Annotated[int, Meta(ge=0, description="Keys that lie under a former epoch, version or backend.")]
    rotates_at: Annotated[
        Instant | UnsetType | None,
        Meta(description="When the newest epoch will be as old as it may become, and is replaced."),
    ] = UNSET


class DataKeyStatus(Response, frozen=True, kw_only=True):
    """Where a tenant's keys stand."""

    domains: list[KeysOfDomain]
    forgotten_subjects: Annotated[int, Meta(ge=0, description="Subjects whose keys were destroyed.")]
    rotate_days: Annotated[
        int | UnsetType | None,
        Meta(
            description="After how many days keys are replaced by themselves, as the tenant's manifest says or else "
            "the deployment; null is never."
        ),
    ] = UNSET


class RotateDataKeys(Request, frozen=True, kw_only=True):
    """Whose keys to replace, and why."""

    domain: Annotated[
        KeyDomain | None,
        Meta(description="`data`, also where it is absent. `cards` is refused, for the API doesn't reach those keys."),
    ] = None
    reason: LongText | None = None


class ShredSubject(Request, frozen=True, kw_only=True):
    """Whose keys to destroy, and why. Nothing that lies under them can ever be read again, in no backup either."""

    party_id: PartyId
    reason: LongText


class ForgottenSubject(Response, frozen=True, kw_only=True):
    """A subject whose keys were destroyed."""

    party_id: PartyId
    keys_destroyed: Annotated[int, Meta(ge=0, description="Subject keys of both domains and all generations.")]
    reason: Annotated[str, Meta(description="As it was given.")]
    forgotten_at: Instant
