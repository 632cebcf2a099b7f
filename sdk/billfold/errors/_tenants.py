"""What is refused of tenants, their manifests and their clocks."""

from billfold.errors._families import Conflict, NotFound, PermissionDenied, Unavailable, Unprocessable

__all__ = [
    "ClockMovesForward",
    "ClockNotControllable",
    "JobStateRefuses",
    "ManifestInvalid",
    "TenantExists",
    "TenantStateRefuses",
    "TenantSuspended",
    "TenantUnreadable",
    "UnknownTenant",
]


class UnknownTenant(NotFound):
    """No tenant is served at this address."""

    code, title = "unknown_tenant", "There is no such tenant"


class TenantSuspended(PermissionDenied):
    """The tenant is suspended by the platform's operators."""

    code, title = "tenant_suspended", "The tenant is suspended"


class TenantUnreadable(Unavailable):
    """What is stored of the tenant isn't of a form that this server knows.

    A newer version of the server may have written it: operators are told where and why, and renew the server or apply
    the manifest anew. Or its schema is behind this version: they run ``billfold tenants migrate``.
    """

    code, title = "tenant_unreadable", "The tenant can't be read by this server"


class ManifestInvalid(Unprocessable):
    """A tenant's manifest is wrong. ``file``, ``key`` and ``reason`` say where and why."""

    code, title = "manifest_invalid", "The tenant's manifest is not valid"
    file: str
    key: str
    reason: str


class TenantExists(Conflict):
    """The slug or host belongs to another tenant."""

    code, title = "tenant_exists", "The slug or host is taken"


class TenantStateRefuses(Conflict):
    """The tenant's state doesn't allow the step."""

    code, title = "tenant_state_refuses", "The tenant's state does not allow this"
    state: str


class JobStateRefuses(Conflict):
    """The job isn't dead any more, or a newer one waits that does the same."""

    code, title = "job_state_refuses", "The job's state does not allow this"


class ClockNotControllable(Conflict):
    """Only a tenant with a test clock can have its time moved."""

    code, title = "clock_not_controllable", "The tenant has no test clock"


class ClockMovesForward(Conflict):
    """A test clock can only be moved forward."""

    code, title = "clock_moves_forward", "A clock can't be moved backwards"
