"""Clients that register themselves, over HTTP (RFC 7591; RFC 7592)."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from billfold.auth._async.authority import AsyncAuthority
from billfold.auth._async.tokens import AsyncTokens
from billfold.auth.certificates import ClientCertificate
from billfold.auth.credentials import ClientAuthentication
from billfold.auth.registered import Registered, read_registration, registration_body
from billfold.client import _options as options
from billfold.client._async.backend import DefaultTransport
from billfold.client._async.session import AsyncClosing, AsyncSession
from billfold.client._flow import Call, Kit, Timeouts
from billfold.client._message import AsyncTransport, Hooks
from billfold.client._problems import token_error_of
from billfold.client._retry import RetryBudget

__all__ = ["AsyncRegistrations"]


class AsyncRegistrations(AsyncClosing):
    """Registers clients at a tenant, and looks after their registrations.

    ::

        async with AsyncRegistrations("https://bank.example/t/bank") as registrations:
            registered = await registrations.register(
                software_statement=statement,
                token_endpoint_auth_method="private_key_jwt",
                grant_types=["client_credentials", "authorization_code", "refresh_token"],
            )
        keep(registered.dump())

    What isn't safe to do twice isn't repeated: a registration whose answer was lost may be there all the same.

    Args:
        base_url: Where the tenant is served.
        certificate: The certificate that connections are made with, where the server asks for one.
        issuer: The authorization server's name for itself; ``base_url`` where absent.
        timeout_s: Total time of a call in seconds, or ``Timeouts``.
        transport: What carries requests, instead of httpx.
        headers: What goes with every request besides.

    Raises:
        ValueError: The address or a time-out can't be.
    """

    def __init__(
        self,
        base_url: str,
        *,
        certificate: ClientCertificate | None = None,
        issuer: str | None = None,
        timeout_s: float | Timeouts | None = None,
        transport: AsyncTransport | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        base = options.address(base_url, "")
        self._mtls = certificate is not None
        self._authority = AsyncAuthority(issuer or base, base)
        auth = ClientAuthentication("", certificate=certificate)
        self._session = AsyncSession(
            base_url=base,
            transport=transport or DefaultTransport(verify=None if certificate is None else certificate.context),
            tokens=AsyncTokens(auth, self._authority, f"{base}/oauth/token"),
            kit=Kit(policy=options.policy(None), budget=RetryBudget(), hooks=Hooks()),
            timeouts=options.timeouts(timeout_s),
            headers=options.headers(headers),
        )

    async def register(self, *, software_statement: str | None = None, **metadata: Any) -> Registered:
        """Register a client, and return what it is known by from now on.

        Args:
            software_statement: What a directory says of the software, where the tenant asks for that.
            metadata: What else is asked for, by the names of RFC 7591, RFC 8705 and their kin.

        Raises:
            errors.AuthenticationFailed: The server refuses; ``oauth_error`` says why.
            errors.BillfoldError: It can't be reached, or isn't what it should be.
        """
        server = await self._authority.server(self._session)
        url = server.endpoint("registration_endpoint", mtls=self._mtls)
        body = registration_body({**metadata, "software_statement": software_statement})
        registered: Registered = await self._session.run(self._call("POST", url, body=body, read=read_registration))
        return registered

    async def read(self, registered: Registered) -> Registered:
        """Return a registration as it stands at the server.

        Raises:
            errors.AuthenticationFailed: It isn't there any more, or isn't ours.
            errors.BillfoldError: The server can't be reached.
        """
        call = self._call("GET", registered.registration_client_uri, registered=registered, repeatable=True)
        found: Registered = await self._session.run(call)
        return found

    async def update(
        self, registered: Registered, *, software_statement: str | None = None, **metadata: Any
    ) -> Registered:
        """Replace a registration, and return what it is known by from now on; the former token is worth nothing.

        If the answer gets lost, do it once more with what you have: within a day that brings what you haven't got.

        Args:
            registered: As it is.
            software_statement: What the directory says of the software now.
            metadata: Everything that is asked for; what isn't said is no longer registered.

        Raises:
            errors.AuthenticationFailed: The server refuses; ``oauth_error`` says why.
            errors.BillfoldError: It can't be reached, or isn't what it should be.
        """
        said = {**metadata, "software_statement": software_statement, "client_id": registered.client_id}
        call = self._call(
            "PUT", registered.registration_client_uri, body=registration_body(said), registered=registered
        )
        changed: Registered = await self._session.run(call)
        return changed

    async def delete(self, registered: Registered) -> None:
        """End a registration: the client is unknown from now on.

        Raises:
            errors.AuthenticationFailed: It isn't there any more, or isn't ours.
            errors.BillfoldError: The server can't be reached.
        """
        call = self._call("DELETE", registered.registration_client_uri, registered=registered)
        call.read = _nothing
        await self._session.run(call)

    def _call(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        read: Any = None,
        registered: Registered | None = None,
        repeatable: bool = False,
    ) -> Call:
        headers = {"accept": "application/json", "user-agent": self._session.headers["user-agent"]}
        if body is not None:
            headers["content-type"] = "application/json"
        if registered is not None:
            headers["authorization"] = f"Bearer {registered.registration_access_token}"
        return Call(
            method,
            url,
            name=f"{method} {urlsplit(url).path}",
            headers=headers,
            body=body,
            read=read or (lambda answer: read_registration(answer, registered)),
            timeouts=self._session.timeouts,
            repeatable=repeatable,
            authorized=False,
            fail=token_error_of,
        )


def _nothing(_body: bytes) -> None:
    return None
