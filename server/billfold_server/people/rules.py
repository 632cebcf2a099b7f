"""What holds for signing in: limits, backoff, which factors suffice, and what a session may do.

Sources: NIST SP 800-63B-4 (rate limiting, session time-outs), the RTS on SCA (Delegated Regulation (EU) 2018/389,
articles 4 to 9, 16, 13, 14), and OWASP's device cookies for guesses that come from many addresses.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

__all__ = [
    "ACR_CA",
    "ACR_SCA",
    "LIMITS",
    "RECOVERED_FACTORS_WAIT",
    "Held",
    "SessionLimits",
    "acr_of",
    "amr_of",
    "blocked_for",
    "bound",
    "can_remove",
    "device_of",
    "is_fresh",
    "is_over",
    "is_recovered",
    "login_name",
    "suffices",
]

LoginRealm = Literal["psu", "staff", "partner", "operator"]
Method = Literal["pwd", "otp", "hwk", "swk", "recovery"]
"""How somebody has proved who it is (RFC 8176); ``recovery`` is a recovery code, for which that has no word."""

ACR_SCA: Final = "urn:openbanking:psd2:sca"
"""Two independent elements of knowledge, possession and inherence."""
ACR_CA: Final = "urn:openbanking:psd2:ca"
"""Less than that: a recovery code stands in for the second element."""


class SessionLimits(msgspec.Struct, frozen=True):
    """How long a session lasts.

    Attributes:
        idle: Without a request.
        whole: From signing in, whatever happens.
    """

    idle: timedelta
    whole: timedelta


LIMITS: Final[dict[LoginRealm, SessionLimits]] = {
    # Article 4(3)(d) of the RTS: five minutes without activity, once authenticated for a payment account.
    "psu": SessionLimits(timedelta(minutes=5), timedelta(hours=12)),
    "staff": SessionLimits(timedelta(minutes=15), timedelta(hours=8)),
    "partner": SessionLimits(timedelta(minutes=15), timedelta(hours=8)),
    "operator": SessionLimits(timedelta(minutes=10), timedelta(hours=4)),
}

ENROLLING: Final = timedelta(minutes=30)
"""How long somebody may take to enrol, once the link was opened."""
FRESH: Final = timedelta(minutes=5)
"""For how long a second factor counts as just shown."""
SEEN_EVERY: Final = timedelta(seconds=15)
"""How exactly a session's last request is remembered, which saves a write with each of them."""

_FREE_FAILURES: Final = 5
_FIRST_BLOCK: Final = timedelta(seconds=30)
_LONGEST_BLOCK: Final = timedelta(minutes=15)
FORGOTTEN: Final = timedelta(hours=24)
"""After such a time without a failure from one place, earlier ones there slow nobody down."""

TOTALS_FORGOTTEN: Final = timedelta(days=365)
"""After such a time without a failure at an account, a sum of failures that has stopped nothing begins anew.

It is so long that nobody guesses on through it; what a bank keeps of sessions has no say in it.
"""

_MOST_OF_STRANGERS: Final = 70
_MOST_ON_OWN_DEVICES: Final = 30

RECOVERED_FACTORS_WAIT: Final = timedelta(hours=24)
"""How long a factor waits that was enrolled after a recovery code, so that its owner can object.

Whoever has a password and a list of codes may be a thief. So nothing that they enrol is good at once, everybody
concerned is told, and until then a sign-in with a factor of before, or the bank, can take it away (NIST SP 800-63B-4,
sections 4.2 and 4.6; RTS on SCA, article 24).
"""


def blocked_for(failures: int) -> timedelta | None:
    """Return how long no further guess is taken from a place after so many failures in a row there, or None.

    Guesses from one place are slowed down soon, and never for more than a quarter of an hour: what stops for good is
    the ``bound`` over all places.

    Args:
        failures: In a row, this one included.
    """
    beyond = failures - _FREE_FAILURES
    if beyond < 0:
        return None
    return min(_FIRST_BLOCK * (1 << min(beyond, 20)), _LONGEST_BLOCK)


def bound(*, own_device: bool) -> int:
    """Return after how many consecutive failures at an account no further guess is taken, until it is unlocked.

    Both together are the hundred of NIST SP 800-63B-4, section 3.2.2.

    Args:
        own_device: Whether devices are meant on which the account's owner has signed in before, or all other places.
    """
    return _MOST_ON_OWN_DEVICES if own_device else _MOST_OF_STRANGERS


def is_recovered(acr: str) -> bool:
    """Tell whether somebody is in by a recovery code, which restores access and is good for nothing else."""
    return acr != ACR_SCA


class Held(msgspec.Struct, frozen=True):
    """What somebody can prove it by.

    Attributes:
        password: Whether there is one.
        totp: How many authenticator apps that are good by now.
        passkeys: How many passkeys that are good by now.
    """

    password: bool
    totp: int
    passkeys: int

    @property
    def number(self) -> int:
        """Return how many factors these are."""
        return int(self.password) + self.totp + self.passkeys


def suffices(held: Held) -> bool:
    """Tell whether two independent factors can be shown: at least two are there, and they reach SCA.

    A passkey with user verification is possession together with knowledge or inherence; a password needs possession
    beside it.
    """
    return held.number >= 2 and (held.passkeys > 0 or (held.password and held.totp > 0))  # noqa: PLR2004 - two factors


def can_remove(held: Held, kind: Literal["totp", "passkey"]) -> bool:
    """Tell whether enough is left without one factor of a kind."""
    totp, passkeys = held.totp - (kind == "totp"), held.passkeys - (kind == "passkey")
    return min(totp, passkeys) >= 0 and suffices(Held(held.password, totp, passkeys))


def amr_of(methods: Collection[Method]) -> list[str]:
    """Return the methods as tokens say them, with ``mfa`` where there were several factors (RFC 8176)."""
    verified_key = not {"hwk", "swk"}.isdisjoint(methods)
    return [*methods, *(["mfa"] if verified_key or len(methods) > 1 else [])]


def acr_of(methods: Collection[Method]) -> str:
    """Return what the methods amount to."""
    if not {"hwk", "swk"}.isdisjoint(methods) or {"pwd", "otp"} <= set(methods):
        return ACR_SCA
    return ACR_CA


def is_fresh(confirmed_at: datetime | None, now: datetime) -> bool:
    """Tell whether a second factor was shown just now."""
    return confirmed_at is not None and now - confirmed_at <= FRESH


def is_over(realm: LoginRealm, *, last_seen_at: datetime, ends_at: datetime, now: datetime) -> bool:
    """Tell whether a session has ended by itself."""
    return now >= ends_at or now - last_seen_at >= LIMITS[realm].idle


_INVISIBLE = re.compile(
    r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    r"\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""What nobody sees in a text (Unicode, Default_Ignorable_Code_Point)."""
_LOGIN_NAME = re.compile(r"[^\s\x00-\x1f\x7f]{3,254}")


def login_name(text: str) -> str | None:
    """Return the one form of a login name, or None where it can't be one.

    Names that look alike are alike: compatibility forms and case are folded (PRECIS, RFC 8265, UsernameCaseMapped), and
    what nobody sees is left out, as where a name was copied from a page (Unicode, NFKC_Casefold).
    """
    seen = _INVISIBLE.sub("", text).strip()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())
    folded = _INVISIBLE.sub("", folded)
    return folded if _LOGIN_NAME.fullmatch(folded) else None


_BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("Firefox", "Firefox"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
_SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def device_of(user_agent: str) -> str:
    """Return what a session's owner knows its device by, and no more than that of the header."""
    return ", ".join(_first(user_agent, each) for each in (_BROWSERS, _SYSTEMS))


def _first(text: str, known: Iterable[tuple[str, str]]) -> str:
    return next((name for sign, name in known if sign in text), "?")
