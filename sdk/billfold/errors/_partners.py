"""What is refused of partner organisations."""

from billfold.errors._families import Conflict, Unprocessable

__all__ = [
    "PartnerExternalIdTaken",
    "PartnerInvalid",
    "PartnerSandboxLimitReached",
    "PartnerSandboxNameTaken",
    "PartnerSandboxStateRefuses",
]


class PartnerExternalIdTaken(Conflict):
    """Another partner organisation has this external id."""

    code, title = "partner_external_id_taken", "The external id is taken"


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
