"""What is refused of consents, and to whom they were given."""

from billfold.errors._families import Conflict, InvalidRequest, PermissionDenied

__all__ = [
    "ConsentLacksAccount",
    "ConsentLacksPermission",
    "ConsentNotFound",
    "ConsentNotUsable",
    "ConsentOfAnother",
    "ConsentTransitionRefused",
    "ReauthenticationRequired",
    "ThirdPartyBlocked",
]


class ConsentNotFound(InvalidRequest):
    """There is no such consent."""

    code, title = "consent_not_found", "There is no such consent"


class ConsentOfAnother(PermissionDenied):
    """The consent was given to somebody else, or the access token is for another one."""

    code, title = "consent_of_another", "The consent belongs to somebody else"


class ConsentNotUsable(PermissionDenied):
    """The consent isn't for this, isn't authorised, or has ended; ``consent_status`` says where it stands."""

    code, title = "consent_not_usable", "The consent can't be used"
    consent_status: str


class ReauthenticationRequired(PermissionDenied):
    """The customer has to authenticate again before the consent can be used any further."""

    code, title = "reauthentication_required", "The customer must authenticate again"


class ConsentLacksPermission(PermissionDenied):
    """The consent doesn't permit this; ``permission`` is what it would take."""

    code, title = "consent_lacks_permission", "The consent doesn't permit this"
    permission: str


class ConsentLacksAccount(PermissionDenied):
    """The consent isn't about this account."""

    code, title = "consent_lacks_account", "The consent isn't about this account"


class ThirdPartyBlocked(PermissionDenied):
    """The bank has blocked the third party."""

    code, title = "third_party_blocked", "The third party is blocked"


class ConsentTransitionRefused(Conflict):
    """The consent's status doesn't allow this; ``consent_status`` says where it stands, ``event`` what was tried."""

    code, title = "consent_transition_refused", "The consent's status doesn't allow this"
    consent_status: str
    event: str
