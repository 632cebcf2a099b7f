"""The backend itself: asks Vault in threads of its own, for a bounded time, and says in one way why it didn't work."""

import asyncio
import contextlib
import contextvars
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, cast

from billfold import errors
from billfold_server.http.context import trace_headers
from billfold_server.keys.backends import Health, Observe, Reason, TenantKey, Versions, Wrapped
from billfold_server.keys.backends.vault import logins
from billfold_server.keys.backends.vault.answers import REASONS, Cause, Forbidden, Refused, Trouble
from billfold_server.keys.backends.vault.breaker import Breaker
from billfold_server.keys.backends.vault.link import THREADS, Link
from billfold_server.keys.backends.vault.sessions import Session
from billfold_server.keys.backends.vault.transit import Transit
from billfold_server.keys.rules import Domain, SealBroken
from billfold_server.settings import Settings
from billfold_server.vault_settings import SERVICE_ACCOUNT_TOKEN, Credentials

__all__ = ["VaultBackend", "open_vault"]

_log = logging.getLogger("billfold.keys.vault")
T = TypeVar("T")

PATIENCE_S: Final = 1.8
"""How long a call may take, so that whoever asked us has an answer within two seconds."""
_FAREWELL_S: Final = 0.5
_GOOD_FOR_S: Final = 30.0
_BAD_FOR_S: Final = 1.0
"""For how long Vault's health is taken for what it was."""
_LEAST_S: Final = 0.2
_IDLE_S: Final = 5.0
"""How often to look whether the login is to be renewed, at most and at least."""


class VaultBackend:
    """Tenants' keys in Vault, for one process and one login.

    Args:
        link: The way to Vault.
        session: Who we are there.
        transit: What we ask of it.
        domain: Whose keys are ours to use. What isn't allowed with others says nothing of Vault's health.
        patience_s: How long a call may take.
        observe: Is told of each call.
    """

    name: Literal["vault"] = "vault"

    def __init__(
        self,
        link: Link,
        session: Session,
        transit: Transit,
        *,
        domain: Domain,
        patience_s: float = PATIENCE_S,
        observe: Observe = lambda *_: None,
    ) -> None:
        self._link = link
        self._session = session
        self._transit = transit
        self._domain = domain
        self._patience_s = patience_s
        self._breaker = Breaker()
        self._observe = observe
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="billfold-vault")
        self._keeping: asyncio.Task[None] | None = None
        self._health = Health(ok=True)
        self._looked_at = float("-inf")
        self._forbidden = False
        self._called = asyncio.Event()
        self._looking = asyncio.Lock()

    def __repr__(self) -> str:
        return "VaultBackend()"

    @property
    def cause(self) -> Cause | None:
        """Why the last call couldn't be answered, for those who look after Vault; None where it was."""
        return self._breaker.cause or ("forbidden" if self._forbidden else None)

    async def ensure(self, key: TenantKey) -> None:
        """Make a key where it isn't there."""
        await self._ask("ensure", self._transit.ensure, key)

    async def wrap(self, key: TenantKey, plain: bytes, bound_to: bytes) -> Wrapped:
        """Wrap something by the key's latest version."""
        return await self._ask("wrap", self._transit.wrap, key, plain, bound_to)

    async def unwrap(self, key: TenantKey, wrapped: Wrapped, bound_to: bytes) -> bytes:
        """Return what was wrapped."""
        return await self._ask("unwrap", self._transit.unwrap, key, wrapped, bound_to)

    async def rewrap(self, key: TenantKey, wrapped: Sequence[tuple[Wrapped, bytes]]) -> list[Wrapped]:
        """Wrap anew, by the latest version, what older ones have wrapped."""
        done = [each for each in await self.rewrap_each(key, wrapped) if each is not None]
        if len(done) < len(wrapped):
            raise SealBroken
        return done

    async def rewrap_each(self, key: TenantKey, wrapped: Sequence[tuple[Wrapped, bytes]]) -> list[Wrapped | None]:
        """Do the same with a verdict for each: None stands for what doesn't open."""
        return await self._ask("rewrap", self._transit.rewrap, key, wrapped) if wrapped else []

    async def rotate(self, key: TenantKey) -> int:
        """Give the key a new version, and return it."""
        return await self._ask("rotate", self._transit.rotate, key)

    async def versions(self, key: TenantKey) -> Versions:
        """Return which versions there are."""
        return await self._ask("versions", self._transit.versions, key)

    async def retire(self, key: TenantKey, below: int) -> None:
        """Destroy the versions below one, but never the latest."""
        await self._ask("retire", self._transit.retire, key, below)

    async def destroy(self, key: TenantKey) -> None:
        """Destroy the key with all of its versions."""
        await self._ask("destroy", self._transit.destroy, key)

    async def health(self) -> Health:
        """Tell whether Vault answers, and lets us in.

        It's looked at twice a minute, and while it is away every second, once for all who want to know; so anybody
        may ask as often as they like.
        """
        async with self._looking:
            if time.monotonic() - self._looked_at > (_GOOD_FOR_S if self._health.ok else _BAD_FOR_S):
                self._health = await self._look()
                self._looked_at = time.monotonic()
            return self._health

    async def close(self) -> None:
        """End the session and its threads; a second time there is nothing left to end."""
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.cancel()
            await asyncio.wait([keeping])
            if not self._breaker.is_open:
                with contextlib.suppress(Trouble, Forbidden, Refused, TimeoutError):
                    await self._in_thread(self._session.end, patience_s=_FAREWELL_S)
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._link.close()

    async def _look(self) -> Health:
        try:
            await self._call("health", self._session.look)
        except errors.KeysUnavailable as error:
            return Health(ok=False, reason=cast("Reason", error.reason))
        return Health(ok=False, reason="forbidden") if self._forbidden else Health(ok=True)

    async def _ask(self, operation: str, work: Callable[..., T], key: TenantKey, *args: Any) -> T:
        """Let the transit engine do something with a key.

        Raises:
            SealBroken: It says that what it was given is wrong.
            KeysUnavailable: Vault can't be used.
        """

        def do() -> T:
            return self._session.call(lambda client: work(client, key, *args))

        return await self._call(operation, do, ours=key.domain == self._domain)

    async def _call(self, operation: str, work: Callable[[], T], *, ours: bool = True) -> T:
        """Do some work in a thread, unless that has been in vain lately."""
        if not self._breaker.admits():
            raise self._unavailable(self._breaker.cause or "unreachable")
        self._keep()
        began, outcome = time.monotonic(), "given_up"
        try:
            result = await self._in_thread(work, patience_s=self._patience_s)
            outcome = "ok"
        except Trouble as trouble:
            outcome = trouble.cause
        except TimeoutError:
            outcome = "slow"
        except Forbidden:
            outcome = "forbidden"
        except (Refused, SealBroken):
            outcome = "refused"
        else:
            return result
        finally:
            self._settle(operation, outcome, time.monotonic() - began, ours=ours)
        # Outside of the handlers, so that nothing is carried along as a cause.
        if outcome == "refused":
            raise SealBroken
        raise self._unavailable(cast("Cause", outcome))

    async def _in_thread(self, work: Callable[[], T], *, patience_s: float) -> T:
        # Threads don't know which request they work for.
        deadline, said = time.monotonic() + patience_s, trace_headers()

        def run() -> T:
            with self._link.until(deadline, said):
                return work()

        async with asyncio.timeout(patience_s):
            return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    def _settle(self, operation: str, outcome: str, took_s: float, *, ours: bool) -> None:
        """Note how a call went."""
        self._called.set()
        self._observe(operation, outcome, took_s)
        before = self._breaker.cause
        if outcome == "given_up":
            self._breaker.gave_up()
            return
        if outcome in {"ok", "refused", "forbidden"}:
            self._breaker.succeeded()
            if before is not None:
                _log.info("Vault can be used again")
            if operation not in {"health", "renew"} and ours:
                # It works, and may let us do other things than this.
                self._forbidden = outcome == "forbidden"
        else:
            self._breaker.failed(cast("Cause", outcome))
        if outcome not in {"ok", "refused"}:
            if before != outcome:
                _log.warning("Vault can't be used for %s: %s", operation, outcome)
            if outcome == "forbidden" and not ours:
                return
            self._health = Health(ok=False, reason=REASONS[cast("Cause", outcome)])
            self._looked_at = time.monotonic()

    def _unavailable(self, cause: Cause) -> errors.KeysUnavailable:
        return errors.KeysUnavailable(reason=REASONS[cause], retry_after_s=self._breaker.retry_after_s)

    def _keep(self) -> None:
        """See that somebody renews the login while it is used."""
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.get_running_loop().create_task(self._renew_in_time(), context=contextvars.Context())

    async def _renew_in_time(self) -> None:
        while True:
            due_in_s = self._session.due_in_s()
            if due_in_s is None:
                self._called.clear()
                await self._called.wait()
                continue
            await asyncio.sleep(min(max(due_in_s, _LEAST_S), _IDLE_S))
            if self._session.due_in_s() == 0:
                # What doesn't work now is logged, and is due again soon.
                with contextlib.suppress(errors.KeysUnavailable, SealBroken):
                    await self._call("renew", self._session.keep)


def open_vault(
    settings: Settings, domain: Domain, *, sealing_key: bytes, observe: Observe = lambda *_: None
) -> VaultBackend:
    """Return the backend that the settings describe. Nothing connects before it is first asked.

    Args:
        settings: As they have been checked.
        domain: Whose credentials to log in by.
        sealing_key: 32 bytes, by which a secret id that came wrapped is kept.
        observe: Is told of each call to Vault.
    """
    assert settings.vault_address is not None, "the settings have been checked"
    credentials = settings.vault_credentials(domain)
    certificate = None
    if credentials.client_certificate is not None and credentials.client_key is not None:
        certificate = (credentials.client_certificate, credentials.client_key)
    link = Link(
        settings.vault_address,
        namespace=settings.vault_namespace,
        ca_file=settings.vault_ca_file,
        certificate=certificate,
    )
    kept = Path(settings.data_dir) / "vault" / f"secret-id-{domain}" if settings.vault_secret_id_wrapped else None
    session = Session(link, _login(settings, credentials, kept, sealing_key))
    return VaultBackend(
        link, session, Transit(settings.vault_mount, settings.vault_deployment), domain=domain, observe=observe
    )


def _login(settings: Settings, credentials: Credentials, kept: Path | None, sealing_key: bytes) -> logins.Login:
    method = settings.vault_login
    assert method is not None, "the settings have been checked"
    mount = (settings.vault_login_mount or method).strip("/")
    match method:
        case "approle":
            if credentials.role_id is None or credentials.secret_id_file is None:
                return logins.nobody
            secret_id = logins.SecretIds(credentials.secret_id_file, kept, sealing_key)
            return logins.by_approle(credentials.role_id, mount, secret_id)
        case "kubernetes":
            if credentials.role is None:
                return logins.nobody
            return logins.by_kubernetes(credentials.role, mount, credentials.jwt_file or SERVICE_ACCOUNT_TOKEN)
        case "cert":
            return logins.by_certificate(credentials.role, mount)
        case "token":
            return logins.nobody if credentials.token_file is None else logins.by_token(credentials.token_file)
