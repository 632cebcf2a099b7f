"""What is refused of variable recurring payments."""

from billfold.errors._families import Conflict

__all__ = ["ConsentNeedsNoMigration", "ControlParametersBreached"]


class ControlParametersBreached(Conflict):
    """The payment isn't within what its payer has agreed to. ``param`` names the control parameter that stops it.

    ``limit_minor`` is how much that one allows, and ``remaining_minor`` how much of it is left; both are absent where
    it is no amount.
    """

    code, title = "control_parameters_breached", "The payment breaks a control parameter of its consent"
    currency: str
    limit_minor: int | None
    remaining_minor: int | None


class ConsentNeedsNoMigration(Conflict):
    """The consent is of this version of the standard already, so there is nothing in it that may be changed."""

    code, title = "consent_needs_no_migration", "The consent needs no migration"
