"""What a manifest says of where a tenant's requests may go: to webhooks, and to endpoints of third parties."""

from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ["Egress", "contradictions"]

_Host = Annotated[
    str,
    Meta(
        max_length=253,
        pattern=r"^(\*\.)?(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*$(?!\n)",
        description="A host's name or number in lower case, or ``*.`` and a name for all that lie below it.",
        examples=["hooks.partner.example", "*.tpp.example"],
    ),
]


class Egress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the server may call on the tenant's behalf: webhooks, and endpoints of third parties."""

    hosts: Annotated[
        list[_Host], Meta(max_length=500, description="The only hosts that may be called; none means every public one.")
    ] = []
    loopback: Annotated[
        bool,
        Meta(
            description="Whether endpoints on the server's own machine may be called, by http too: for trying out, "
            "so in sandboxes alone, and never in production."
        ),
    ] = False


def contradictions(egress: Egress, *, sandbox: bool) -> list[tuple[str, str]]:
    """Return what can't be meant, as (key, reason)."""
    return [("egress.loopback", "can be true in sandboxes alone")] if egress.loopback and not sandbox else []
