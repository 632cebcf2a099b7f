"""The sandbox's developer: a member of staff who signs in at the portal, made on the first start, and how to find them.

They are there so that whoever tries the portal out sees everything that a partner's developer sees. Nobody but who may
read the data folder knows by what they sign in, and only a sandbox that takes shared secrets has them at all.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from billfold.contract.roles import StaffRole
from billfold.contract.users import CreateUser, LoginRealm
from billfold_server.commands import json_line, json_option
from billfold_server.http.services import Services
from billfold_server.people import service as people
from billfold_server.people.service import Realm
from billfold_server.serving.sign_ins import SignIn, codes_now, made_up, read_sign_ins, write_sign_ins
from billfold_server.serving.welcome import STAFF_FILE
from billfold_server.tenancy.context import COMMAND_LINE, TenantRef

__all__ = ["NAME", "ensure_developer", "portal"]

NAME: Final = "developer"
_DISPLAY_NAME: Final = "Sandbox developer"
_SANDBOX: Final = "sandbox"
_ROLES: Final = [StaffRole.DEVELOPER, StaffRole.OPERATOR]
"""The console lends a program nothing that who tries it may not themselves, and here they shall try everything."""


async def ensure_developer(services: Services, tenant: TenantRef, data_dir: Path) -> SignIn | None:
    """See that a sandbox's developer can sign in, and return by what; None where there can be nobody made up.

    It is written before they are made, so that what is broken off is brought to its end by the next start. Whom the
    bank has made by itself under that name stays as they are, and nobody is told by what they sign in.

    Args:
        services: The server's parts.
        tenant: The sandbox.
        data_dir: Where it is kept by what they sign in.
    """
    manifest = tenant.manifest
    if not manifest.sandbox or manifest.security_profile != _SANDBOX:
        return None
    kept = next(iter(read_sign_ins(data_dir, STAFF_FILE)), None)
    async with services.database.tx(tenant) as tx:
        realm = Realm.of(services, tenant)
        if await people.list_users(realm, tx, login_realm=LoginRealm.STAFF, login_name=NAME, limit=1):
            return kept
    if kept is None:
        kept = made_up(NAME, _DISPLAY_NAME)
        write_sign_ins(data_dir, [kept], STAFF_FILE)
    body = CreateUser(login_realm=LoginRealm.STAFF, login_name=NAME, display_name=_DISPLAY_NAME, roles=_ROLES)
    await people.create_made_up(
        services, tenant, COMMAND_LINE, body, password=kept.password, totp_secret=kept.totp_secret
    )
    return kept


class Portal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a tenant's portal is, and in a sandbox by what to sign in.

    Attributes:
        url: Its address.
        name: The login name.
        password: The password.
        totp_uri: Of the authenticator app, as an app reads it.
        codes: What that shows now, and the next, which is taken already.
    """

    url: str
    name: str | None = None
    password: str | None = None
    totp_uri: str | None = None
    codes: list[str] = []

    def __repr__(self) -> str:
        """Show where it is, and no secret."""
        return f"Portal({self.url!r})"


@click.command()
@click.option("--tenant", metavar="SLUG", default=_SANDBOX, show_default=True, help="The tenant whose portal it is.")
@json_option
@click.pass_obj
def portal(open_services: Callable[[], AbstractAsyncContextManager[Any]], tenant: str, as_json: bool) -> None:  # noqa: FBT001
    """Show a tenant's developer portal, and in a sandbox by what to sign in there.

    A sandbox has one made-up member of staff, with the role of a developer, who is made if they aren't there yet. The
    code is what their authenticator app shows now. Elsewhere staff enrol by themselves: see billfold users create.
    """

    async def run() -> Portal:
        async with open_services() as services:
            found = await services.registry.get(tenant)
            url = f"{services.settings.base_url}/t/{tenant}/portal"
            sign_in = await ensure_developer(services, found, Path(services.settings.data_dir))
        return Portal(url=url) if sign_in is None else _told(url, sign_in)

    told = asyncio.run(run())
    if as_json:
        click.echo(json_line(told))
        return
    click.echo(f"{'Portal':10} {told.url}")
    if told.name is None:
        click.echo("Staff sign in there by what they have enrolled: see billfold users create --staff.", err=True)
        return
    rows = {"Name": told.name, "Password": told.password, "Code": f"{told.codes[0]}, then {told.codes[1]}"}
    click.echo("\n".join(f"{name:10} {value}" for name, value in rows.items()))


def _told(url: str, sign_in: SignIn) -> Portal:
    return Portal(
        url=url,
        name=sign_in.name,
        password=sign_in.password,
        totp_uri=sign_in.totp_uri,
        codes=list(codes_now(sign_in)),
    )
