"""What is refused of partner organisations."""

from billfold.errors._families import Conflict, Unprocessable

__all__ = [
    "PartnerExternalIdTaken",
    "PartnerInUse",
    "PartnerInvalid",
    "PartnerSandboxLimitReached",
    "PartnerSandboxNameTaken",
    "PartnerSandboxStateRefuses",
    "PartnerStateRefuses",
]


class PartnerExternalIdTaken(Conflict):
    """Another partner organisation has this external id."""

    code, title = "partner_external_id_taken", "The external id is taken"


class PartnerInUse(Conflict):
    """The partner organisation still has something that acts or is served for it, so it can't be removed.

    ``clients`` are its API clients that aren't disabled; the other facts count whatever there is of each.
    """

    code, title = "partner_in_use", "The partner still has something of its own"
    clients: int
    members: int
    sandboxes: int
    webhook_endpoints: int


class PartnerInvalid(Unprocessable):
    """What was said of a partner can't be, such as a scope that no partner is given. ``param`` names it."""

    code, title = "partner_invalid", "There can't be such a partner"


class PartnerSandboxLimitReached(Conflict):
    """The partner organisation has as many sandboxes as the bank lets it have: ``most``. Remove one first."""

    code, title = "partner_sandbox_limit_reached", "The partner has all its sandboxes"
    most: int


class PartnerSandboxNameTaken(Conflict):
    """Another sandbox of the partner organisation has this name."""

    code, title = "partner_sandbox_name_taken", "The sandbox's name is taken"


class PartnerSandboxStateRefuses(Conflict):
    """The sandbox isn't ready, because something that was asked for before isn't done, or because it is suspended."""

    code, title = "partner_sandbox_state_refuses", "The sandbox is not ready"
    state: str


class PartnerStateRefuses(Conflict):
    """The partner organisation is let in (``state``), so it can't be removed. Suspend it first."""

    code, title = "partner_state_refuses", "The partner is not suspended"
    state: str
