"""What is refused of sandboxes, and where it isn't one."""

from billfold.errors._families import Conflict, PermissionDenied

__all__ = ["PaymentNotReturnable", "SandboxOnly"]


class SandboxOnly(PermissionDenied):
    """Only a sandbox can be reset, and have things simulated; this tenant's money is real."""

    code, title = "sandbox_only", "The tenant is not a sandbox"


class PaymentNotReturnable(Conflict):
    """The payment's money hasn't left to outside, or has come back from there already."""

    code, title = "payment_not_returnable", "The payment's money can't come back"
