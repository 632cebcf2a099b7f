"""What is refused of partner organisations."""

from billfold.errors._families import Conflict, Unprocessable

__all__ = ["PartnerExternalIdTaken", "PartnerInvalid"]


class PartnerExternalIdTaken(Conflict):
    """Another partner organisation has this external id."""

    code, title = "partner_external_id_taken", "The external id is taken"


class PartnerInvalid(Unprocessable):
    """What was said of a partner can't be, such as a scope that no partner is given. ``param`` names it."""

    code, title = "partner_invalid", "There can't be such a partner"
