"""What every step of a sign-in needs at hand: realm, transaction, time, browser, and how the audit is told."""

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract.events import EventType, UserEventData
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.db.outbox import emit, new_event
from billfold_server.http.peers import share_of
from billfold_server.http.routing import Call
from billfold_server.keys.service import PLATFORM_KEYS, Keyring, Opener, Sealer
from billfold_server.keys.service import Place as SealedPlace
from billfold_server.people.pages.kit import LoginRealm, Visit, pages_of, session_cookie
from billfold_server.people.passwords import Passwords
from billfold_server.people.queries import UserRow
from billfold_server.people.tickets import Tickets
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import TenantTx, Tx

__all__ = ["Desk", "EndGrants", "People", "Place", "caller_of", "end_grants", "secret_place", "tell", "user_id_of"]

T = TypeVar("T")
TICKET_S: Final = 300
"""How long one step of a sign-in waits for the next."""


class EndGrants(Protocol):
    """Ends what somebody has allowed apps; the authorization server brings it."""

    async def __call__(
        self, tx: Any, reason: str, *, now: datetime, user_id: UUID, caller: Caller, factor_id: UUID | None = None
    ) -> int:
        """End a user's grants, or those that rest on one factor, and return how many stood until then."""
        ...


class People:
    """What the room keeps for the life of the process, in ``Services.rooms["people"]``.

    Args:
        keyring: Keys digests and seals secrets.
        end_grants: Ends what somebody has allowed apps: whoever is signed out everywhere, apps included.
    """

    def __init__(self, keyring: Keyring, end_grants: EndGrants) -> None:
        self.keyring = keyring
        self.end_grants = end_grants
        self.passwords = Passwords(keyring)
        self.tickets = Tickets(keyring)
        self._key = keyring.derive("digests of people")

    def digest(self, purpose: str, *parts: str) -> bytes:
        """Return a keyed digest of texts, for one purpose."""
        joined = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in (purpose, *parts))
        return hmac.digest(self._key, joined, "sha256")


class Place(msgspec.Struct, frozen=True):
    """Where a passkey belongs (WebAuthn, section 5.1.2).

    Attributes:
        rp_id: The host's name, to which the browser binds it.
        origin: The origin that the browser must have seen.
        elsewhere: The deployment's own host, where this is a tenant's: people may have made theirs there, and in vain.
    """

    rp_id: str
    origin: str
    elsewhere: str | None = None

    @property
    def has_name(self) -> bool:
        """Tell whether browsers take passkeys here: they bind them to names, never to addresses of numbers."""
        return not _is_address(self.rp_id)


class Desk:
    """One request of a browser at the pages of one realm.

    Args:
        call: The request.
        realm: Whose sign-in; by its address where absent.
    """

    def __init__(self, call: Call, realm: LoginRealm | None = None) -> None:
        people = call.services.rooms["people"]
        assert isinstance(people, People)
        self.call = call
        self.people = people
        self.visit = Visit.of(call)
        self.realm: LoginRealm = realm or self.visit.realm
        self.now: datetime = call.services.clock.now()
        self._opener: Opener | None = None
        self._sealer: Sealer | None = None

    @property
    def owner(self) -> str:
        """Return the tenant's wire id, or ``platform``; what is sealed is bound to it."""
        tenant = self.call.tenant_or_none
        return "platform" if tenant is None else ids.encode(Prefix.TENANT, tenant.id)

    @property
    def now_s(self) -> int:
        """Return the time in seconds since the Unix epoch."""
        return int(self.now.timestamp())

    def tx(self) -> AbstractAsyncContextManager[Any]:
        """Open a transaction of the tenant or of the platform."""
        return self.call.services.database.platform_tx() if self.call.tenant_or_none is None else self.call.tx()

    def caller(self, user_id: UUID | None = None) -> Caller:
        """Return who acts: the person, once it is known."""
        return caller_of(user_id, self.call.request_id)

    # Secrets of authenticator apps, which lie under the tenant's own key.

    async def have_secrets(self, *, seal: bool = False) -> None:
        """Have at hand what opens them, and what seals a new one, before the transaction that needs it begins.

        Raises:
            errors.KeysUnavailable: The keys are out of reach.
        """
        keys, owner = self.call.services.keys, self.call.tenant_or_none or PLATFORM_KEYS
        self._opener = await keys.opener_of(owner)
        if seal:
            self._sealer = await keys.sealer(owner)

    def seal_secret(self, factor_id: UUID, secret: str) -> bytes:
        """Return an app's secret as it lies in its row."""
        assert self._sealer is not None, "have_secrets(seal=True) came first"
        return self._sealer.seal(secret_place(factor_id), secret.encode())

    def open_secret(self, factor_id: UUID, sealed: bytes) -> str:
        """Return an app's secret.

        Raises:
            SealBroken: It was sealed for another app or by another deployment, or it was changed.
        """
        assert self._opener is not None, "have_secrets came first"
        return self._opener.open(secret_place(factor_id), sealed).decode()

    # Cookies and tickets.

    def cookie(self, name: str) -> str | None:
        """Return a cookie of ours, or None."""
        return pages_of(self.call).cookie(self.visit, name)

    def written(self, name: str, value: str, *, max_age_s: int | None = None) -> str:
        """Return the header that sets a cookie of ours."""
        return pages_of(self.call).written(self.visit, name, value, max_age_s=max_age_s)

    @property
    def session_cookie(self) -> str:
        """Return the name of the realm's session cookie."""
        return session_cookie(self.realm)

    def seal(self, content: msgspec.Struct, purpose: str, *, until_s: int | None = None) -> str:
        """Return a ticket for this realm and browser."""
        until = self.now_s + TICKET_S if until_s is None else until_s
        return self.people.tickets.seal(content, purpose, *self._bound(), until_s=until)

    def open(self, ticket: str | None, kind: type[T], purpose: str) -> T | None:
        """Return what a ticket says, or None where it isn't one of this step, realm and browser."""
        return self.people.tickets.open(ticket or "", kind, purpose, *self._bound(), now_s=self.now_s)

    def _bound(self) -> tuple[str, str, str]:
        return self.owner, self.realm, pages_of(self.call).browser(self.visit)

    # Where it comes from.

    def account(self, *parts: str) -> bytes:
        """Return under which name attempts at an account are counted."""
        return self.people.digest("attempts", self.owner, self.realm, *parts)

    def source(self, device: str | None) -> bytes:
        """Return under which name attempts from here are counted: by a device that is known, else by address."""
        known = ("device", device) if device else ("address", share_of(self.call.peer))
        return self.people.digest("sources", self.owner, *known)

    @property
    def place(self) -> Place:
        """Return to which host passkeys of this visit belong.

        The host that the browser names counts if it is the tenant's or the deployment's own; of its port nothing is
        taken, since whoever runs another server on the machine could be there (WebAuthn, section 13.4.9).
        """
        base = urlsplit(self.call.services.settings.base_url)
        host = self.call.headers.get("host", "").lower()
        name = urlsplit(f"//{host}").hostname or ""
        tenant = self.call.tenant_or_none
        own = tenant is not None and name in tenant.manifest.hosts
        known = own or name == base.hostname or (name == "localhost" and _is_loopback(base.hostname or ""))
        rp_id = name if known else base.hostname or ""
        # A tenant's own host is reached where the deployment is: at the scheme's own port, or at the one it names.
        port = "" if base.port is None else f":{base.port}"
        elsewhere = base.hostname if own and rp_id != base.hostname and not _is_address(base.hostname or "") else None
        return Place(rp_id, f"{base.scheme}://{rp_id}{port}", elsewhere)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def digest_of(secret: str) -> bytes:
    """Return what is kept of a secret with 256 random bits; a plain digest is as good as a slow one."""
    return hashlib.sha256(secret.encode()).digest()


def user_id_of(user_id: UUID) -> str:
    """Return a user's id as others see it."""
    return ids.encode(Prefix.USER, user_id)


def caller_of(user_id: UUID | None, request_id: str | None) -> Caller:
    """Return a person as the audit names it."""
    actor = "nobody" if user_id is None else user_id_of(user_id)
    return Caller(actor=actor, client_id=UUID(int=0), request_id=request_id)


async def tell(
    tx: Tx,
    caller: Caller,
    action: EventType[UserEventData] | str,
    user: UserRow,
    *,
    facts: Mapping[str, str | int | list[str]] | None = None,
    reason: str | None = None,
) -> None:
    """Record what happened to a user, and emit the event where it is a tenant's. Neither holds anything personal.

    What is no event, but for the audit alone, is told by its name.
    """
    wire_id = user_id_of(user.id)
    known: dict[str, str | int | list[str]] = {"login_realm": user.login_realm, **(facts or {})}
    if user.partner_id is not None:
        known["partner_id"] = ids.encode(Prefix.PARTNER, user.partner_id)
    name = action if isinstance(action, str) else action.name
    await audit.record(tx, audit.new_record(caller, name, wire_id, reason=reason, facts=known))
    if not isinstance(action, str) and isinstance(tx, TenantTx):
        data = msgspec.convert({"id": wire_id, **known}, UserEventData)
        await emit(tx, new_event(action, wire_id, data, await tenant_now(tx)))


def in_minutes(wait: timedelta) -> int:
    """Return a wait in whole minutes, as people are told it."""
    return max(1, -(-int(wait.total_seconds()) // 60))


async def end_grants(desk: Desk, tx: Any, user: UserRow, reason: str, *, factor_id: UUID | None = None) -> None:
    """End what somebody has allowed apps, or what they allowed by one factor, in the transaction that ends sessions."""
    caller = desk.caller(user.id)
    await desk.people.end_grants(tx, reason, now=desk.now, user_id=user.id, caller=caller, factor_id=factor_id)


def secret_place(factor_id: UUID) -> SealedPlace:
    """Return where an app's secret lies, to which it is bound when it is sealed."""
    return SealedPlace("factors", str(factor_id), "sealed_secret")
