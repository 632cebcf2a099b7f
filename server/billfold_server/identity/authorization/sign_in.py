"""Whether a sign-in is good enough for a request (OpenID Connect Core, sections 3.1.2.1, 3.1.2.3 and 5.5.1.1)."""

from datetime import datetime, timedelta
from typing import Final, Literal, Protocol

from billfold_server.identity.authorization.parameters import AuthorizationRequest

__all__ = ["ACR_SCA", "ACR_VALUES", "SignedIn", "Verdict", "acr_for", "judge", "judge_strictly"]

ACR_SCA: Final = "urn:openbanking:psd2:sca"
"""Strong customer authentication, as the UK's profile calls it."""

_ACR_CA: Final = "urn:openbanking:psd2:ca"

ACR_VALUES: Final = (ACR_SCA, _ACR_CA)
"""The classes that there are here, which metadata names as ``acr_values_supported``."""

_RECENT: Final = timedelta(minutes=5)

Verdict = Literal["enough", "sign_in", "unmet"]
"""Whether it is enough, whether the person must sign in, or no sign-in of theirs would be enough.

That is known where they have signed in just now, or where nobody's would: then nobody is made to.
"""

_AFRESH: Final[frozenset[str]] = frozenset({"login", "select_account"})


class SignedIn(Protocol):
    """What of a session matters here."""

    @property
    def auth_time(self) -> datetime:
        """Return when the person signed in."""
        ...

    @property
    def acr(self) -> str:
        """Return the class of that sign-in."""
        ...


def judge(request: AuthorizationRequest, session: SignedIn | None, *, begun_at: datetime, now: datetime) -> Verdict:
    """Return whether a sign-in is enough.

    Args:
        request: What was asked.
        session: Who is signed in in this browser, if anybody.
        begun_at: When the browser came with the request; who has signed in since has done so for it.
        now: The real time.
    """
    if request.essential_acr and _REACHABLE.isdisjoint(request.essential_acr):
        return "unmet"
    if session is None:
        return "sign_in"
    fresh = session.auth_time >= begun_at
    too_old = request.max_age_s is not None and session.auth_time < now - timedelta(seconds=request.max_age_s)
    if not fresh and (too_old or not _AFRESH.isdisjoint(request.prompt)):
        return "sign_in"
    if acr_for(request, session) is None:
        return "unmet" if fresh else "sign_in"
    return "enough"


def judge_strictly(
    request: AuthorizationRequest, session: SignedIn | None, *, begun_at: datetime, now: datetime
) -> Verdict:
    """Return whether a sign-in is enough for a consent: it is strong, and five minutes old at most when this began.

    Arguments are those of ``judge``. Sources: PSD2, article 97(1); RTS on SCA, article 4(3)(d).
    """
    verdict = judge(request, session, begun_at=begun_at, now=now)
    if verdict != "enough" or session is None:
        return verdict
    if session.acr != ACR_SCA:
        return "unmet" if session.auth_time >= begun_at else "sign_in"
    return "enough" if session.auth_time >= begun_at - _RECENT else "sign_in"


_REACHABLE: Final = frozenset(ACR_VALUES)

_INCLUDES: Final[dict[str, frozenset[str]]] = {
    ACR_SCA: frozenset({_ACR_CA}),
}
"""Which classes a class includes: who has shown two elements has shown one."""


def acr_for(request: AuthorizationRequest, session: SignedIn) -> str | None:
    """Return the class of a sign-in as the client is told it: one that it named, if one is essential to it.

    None where it must be told one that the sign-in isn't of.
    """
    if not request.essential_acr or session.acr in request.essential_acr:
        return session.acr
    included = _INCLUDES.get(session.acr, frozenset())
    return next((each for each in request.essential_acr if each in included), None)
