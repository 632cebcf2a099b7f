"""Privacy: what is kept of people and where, what is known of one person, and that somebody is forgotten."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from billfold.contract.common import Instant, LongText, PartyId, Request, Response

__all__ = [
    "DataColumn",
    "DataInventory",
    "EraseParty",
    "Erasure",
    "ExportParty",
    "ExportedData",
]


class DataColumn(Response, frozen=True, kw_only=True):
    """One column that holds personal or card data."""

    room: Annotated[str, Meta(description="The part of the server that keeps it.", examples=["parties"])]
    table: str
    column: str
    category: Annotated[str, Meta(description="What kind of data it is.", examples=["name"])]
    owner: Annotated[str, Meta(description="Of whom it tells.", examples=["party"])]
    key_domain: Annotated[
        Literal["data", "cards"] | None,
        Meta(description="Under which keys it is sealed: each person has a key of their own in each domain."),
    ]
    blind_index: Annotated[bool, Meta(description="Whether it is a keyed digest by which sealed data is found.")]
    plain_because: Annotated[str | None, Meta(description="Why it isn't sealed, where it isn't.")]
    kept: Annotated[str, Meta(description="How long: a key of the manifest's `[retention]`, or with what it goes.")]
    kept_days: Annotated[int | None, Meta(description="That key's days, where it is one.")]
    records: Annotated[int, Meta(description="How many rows hold something in it; an estimate in large tables.")]
    estimated: bool


class DataInventory(Response, frozen=True, kw_only=True):
    """Where each kind of personal and card data lies, under which key, and for how long."""

    columns: list[DataColumn]
    plain_columns: Annotated[int, Meta(description="How many further columns were classified as not personal.")]
    counted_at: Instant


class ExportParty(Request, frozen=True, kw_only=True):
    """Why somebody's data is read."""

    reason: LongText


class ExportedData(Response, frozen=True, kw_only=True):
    """Something that is known of a person."""

    room: str
    kind: Annotated[str, Meta(examples=["wallet"])]
    data: dict[str, Any]


class EraseParty(Request, frozen=True, kw_only=True):
    """Why somebody is forgotten."""

    reason: LongText


class Erasure(Response, frozen=True, kw_only=True):
    """That somebody was forgotten: what lay plain is gone, and their keys are destroyed, at once or soon."""

    party_id: PartyId
    forgotten_at: Instant
    erased: Annotated[dict[str, int], Meta(description="How many rows were removed or blanked, by table.")]
