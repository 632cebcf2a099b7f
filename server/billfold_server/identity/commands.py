"""``billfold clients``: the API clients of a tenant, or the operators' of the platform, on the command line.

What is refused is raised as it is; ``cli.py`` tells it in one sentence.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import click
import msgspec
from joserfc.jwk import ECKey, OKPKey, RSAKey

from billfold import errors, ids
from billfold.contract.clients import ClientMetadata
from billfold.ids import Prefix
from billfold_server.commands import OpenServices, json_line, json_option
from billfold_server.http.reading import as_sent
from billfold_server.identity.clients.management import check_given
from billfold_server.identity.clients.metadata import MetadataRefused, shown
from billfold_server.identity.clients.service import Client, list_clients, register, set_client_state
from billfold_server.identity.jose import SigningKey
from billfold_server.identity.realms import Realm
from billfold_server.identity.rules import PLATFORM_SCOPES, TENANT_SCOPES
from billfold_server.listings import listing, print_listing
from billfold_server.partners import service as partners
from billfold_server.tenancy.context import COMMAND_LINE
from billfold_server.tenancy.transaction import TenantTx

if TYPE_CHECKING:
    from billfold_server.http.services import Services

__all__ = ["clients"]


_GENERATE: Final[dict[str, Callable[[], SigningKey]]] = {
    "PS256": lambda: RSAKey.generate_key(3072),
    "ES256": lambda: ECKey.generate_key("P-256"),
    "EdDSA": lambda: OKPKey.generate_key("Ed25519"),
}

_CERTIFICATE_NAMES: Final = ("subject_dn", "san_dns", "san_uri", "san_ip", "san_email")


def _realm_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command say whose clients it is about."""
    tenant = click.option("--tenant", metavar="SLUG", help="The tenant whose client it is.")
    platform = click.option("--platform", is_flag=True, help="A client of the platform's operators.")
    return tenant(platform(command))


def _metadata_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command say how a client is registered."""
    for option in (
        click.option("--scope", "scopes", multiple=True, required=True, metavar="SCOPE", help="Often; or: all."),
        click.option("--name", default="API client", show_default=True, help="For people."),
        click.option("--organisation", help="Who runs it."),
        click.option("--auth-method", metavar="METHOD", help="How it proves who it is, such as private_key_jwt."),
        click.option(
            "--jwks", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file of its public keys."
        ),
        click.option(
            "--new-key",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Make a key pair for it, and write the private key to this new file, for its owner alone.",
        ),
        click.option(
            "--alg", type=click.Choice(list(_GENERATE)), default="ES256", show_default=True, help="Of --new-key."
        ),
        click.option(
            "--redirect-uri", "redirect_uris", multiple=True, help="Where answers may go; may be given often."
        ),
        click.option("--grant", "grants", multiple=True, help="Such as authorization_code; may be given often."),
        click.option("--details-type", "details_types", multiple=True, help="Of RFC 9396; may be given often."),
        click.option("--certificate-dn", "subject_dn", help="The subject of its certificate (RFC 4514)."),
        click.option("--certificate-dns", "san_dns", help="A DNS name in its certificate."),
        click.option("--certificate-uri", "san_uri", help="A URI in its certificate."),
        click.option("--certificate-ip", "san_ip", help="An IP address in its certificate."),
        click.option("--certificate-email", "san_email", help="A mail address in its certificate."),
        click.option("--partner", metavar="ID", help="The partner organisation of the tenant to which it belongs."),
        click.option("--staff", is_flag=True, help="It asks the bank's staff to sign in, not customers."),
        click.option("--dpop-bound", is_flag=True, help="It always binds its tokens by DPoP."),
    ):
        command = option(command)
    return command


@asynccontextmanager
async def _realm(
    open_services: OpenServices, tenant: str | None, *, platform: bool
) -> AsyncIterator[tuple["Services", Any, Realm]]:
    """Open the services, a transaction of the realm, and the realm."""
    if (tenant is None) is not platform:
        msg = "Name a tenant with --tenant, or say --platform."
        raise click.UsageError(msg)
    async with open_services() as services:
        found = None if tenant is None else await services.registry.get(tenant)
        async with services.database.tx_of(found) as tx:
            yield services, tx, services.identity.realm(found)


@click.group()
def clients() -> None:
    """Create, list, enable and disable API clients."""


@clients.command()
@_realm_options
@_metadata_options
@json_option
@click.pass_obj
def create(
    open_services: OpenServices,
    /,
    *,
    tenant: str | None,
    platform: bool,
    as_json: bool,
    new_key: Path | None,
    **given: Any,
) -> None:
    """Create an API client, and print its id, how it proves who it is, and where it gets its tokens.

    A secret is shown this once. Several scopes may stand in one --scope, with spaces or commas in between. Where
    nothing else is said, a client of a sandbox gets a secret; elsewhere it needs a key, and --new-key makes one.
    """
    made_key = None if new_key is None else _new_key(new_key, given["alg"])

    async def run(asked: ClientMetadata) -> dict[str, Any]:
        async with _realm(open_services, tenant, platform=platform) as (services, tx, realm):
            try:
                client, secret = await register(
                    tx,
                    services.keyring,
                    asked,
                    realm.profile,
                    now=services.clock.now(),
                    platform=platform,
                    caller=COMMAND_LINE,
                    login_realm="staff" if given["staff"] else "psu",
                    partner_id=await _partner(tx, given, asked),
                )
            except MetadataRefused as refusal:
                raise errors.ClientMetadataRefused(_told(refusal, asked), param=refusal.param) from None
        return _printed(client, secret, realm, new_key)

    try:
        made = asyncio.run(run(_asked(given, made_key, platform=platform)))
    except BaseException:
        if new_key is not None:
            new_key.unlink(missing_ok=True)
        raise
    if as_json:
        click.echo(json_line(made))
        return
    for label, key in (
        ("Client id", "client_id"),
        ("Client secret", "client_secret"),
        ("Private key", "private_key_file"),
        ("Authenticates", "token_endpoint_auth_method"),
        ("Issuer", "issuer"),
        ("Token URL", "token_url"),
        ("Scope", "scope"),
    ):
        if key in made:
            click.echo(f"{label + ':':15}{made[key]}")
    if "client_secret" in made:
        click.echo("Keep the secret now: it is not shown again.", err=True)


def _told(refusal: MetadataRefused, asked: ClientMetadata) -> str:
    """Return why a client is refused, and by which options it gets keys, which callers of the API don't have."""
    keyless = refusal.param == "jwks" and asked.jwks is None
    hint = "; --new-key FILE makes a key pair, --jwks FILE names the public keys that there are"
    return f"{refusal}{hint if keyless else ''}"


async def _partner(tx: Any, given: dict[str, Any], asked: ClientMetadata) -> UUID | None:
    """Return the partner to which a client is to belong, once it is seen that it may have such a one."""
    if given["partner"] is None:
        return None
    if given["staff"] or not isinstance(tx, TenantTx):
        msg = "A partner's client is a tenant's, and asks no staff to sign in."
        raise click.UsageError(msg)
    try:
        found = await partners.hold(tx, ids.decode(Prefix.PARTNER, given["partner"]))
    except ids.InvalidIdError:
        raise errors.NotFound("there is no such partner") from None
    check_given(found, (asked.scope or "").split())
    return found.id


def _asked(given: dict[str, Any], key: SigningKey | None, *, platform: bool) -> ClientMetadata:
    known = PLATFORM_SCOPES if platform else TENANT_SCOPES
    scopes = [scope for text in given["scopes"] for scope in text.replace(",", " ").split()]
    names = {f"tls_client_auth_{name}": given[name] for name in _CERTIFICATE_NAMES if given[name] is not None}
    jwks = _jwks(given["jwks"], key)
    method = given["auth_method"] or ("tls_client_auth" if names else "private_key_jwt" if jwks is not None else None)
    said = {
        "client_name": given["name"],
        "organisation": given["organisation"],
        "token_endpoint_auth_method": method,
        "scope": " ".join(sorted(known) if scopes == ["all"] else scopes),
        "grant_types": list(given["grants"]) or None,
        "redirect_uris": list(given["redirect_uris"]),
        "authorization_details_types": list(given["details_types"]),
        "dpop_bound_access_tokens": given["dpop_bound"],
        "jwks": jwks,
        **names,
    }
    return as_sent(ClientMetadata(**{name: value for name, value in said.items() if value is not None}))


def _jwks(file: Path | None, key: SigningKey | None) -> dict[str, Any] | None:
    keys: list[Any] = []
    if file is not None:
        try:
            keys += msgspec.json.decode(file.read_bytes(), type=dict[str, Any])["keys"]
        except (msgspec.MsgspecError, KeyError, TypeError):
            msg = f"{file} isn't a JWK Set."
            raise click.UsageError(msg) from None
    if key is not None:
        keys.append({**key.as_dict(private=False), "kid": key.thumbprint(), "use": "sig"})
    return {"keys": keys} if keys else None


def _new_key(file: Path, alg: str) -> SigningKey:
    """Write a new private key for its owner alone, where there is no file yet."""
    key = _GENERATE[alg]()
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(key.as_pem(private=True))
    except FileExistsError:
        msg = f"{file} is there already, and isn't overwritten."
        raise click.UsageError(msg) from None
    return key


def _printed(client: Client, secret: str | None, realm: Realm, new_key: Path | None) -> dict[str, Any]:
    """Return what is told of a new client."""
    made: dict[str, Any] = {
        "client_id": client.client_id,
        "token_endpoint_auth_method": client.authentication,
        "issuer": realm.issuer,
        "token_url": f"{realm.issuer}/oauth/token",
        "base_url": realm.issuer,
        "name": client.name,
        "scope": " ".join(client.scopes),
    }
    if secret is not None:
        made["client_secret"] = secret
    if new_key is not None and client.jwks is not None:
        made |= {"private_key_file": str(new_key), "kid": client.jwks["keys"][-1]["kid"]}
    return made


@clients.command("list")
@_realm_options
@json_option
@click.pass_obj
def list_all(open_services: OpenServices, tenant: str | None, *, platform: bool, as_json: bool) -> None:
    """Show the API clients, without their secrets."""

    async def run() -> Sequence[Client]:
        async with _realm(open_services, tenant, platform=platform) as (_, tx, _realm_of_them):
            return await list_clients(tx)

    found = asyncio.run(run())
    if as_json:
        click.echo(json_line([shown(client) for client in found]))
        return
    table = listing("Client id", "Name", "State", "Authenticates by", "Scopes", "Created")
    for client in found:
        created = f"{client.created_at:%Y-%m-%d %H:%M}"
        scopes = " ".join(client.scopes)
        table.add_row(client.client_id, client.name, client.state, client.authentication, scopes, created)
    print_listing(table)


def _set_state(
    open_services: OpenServices, tenant: str | None, client_id: str, *, platform: bool, enabled: bool
) -> None:
    async def run() -> None:
        async with _realm(open_services, tenant, platform=platform) as (services, tx, _):
            await set_client_state(tx, client_id, enabled=enabled, now=services.clock.now(), caller=COMMAND_LINE)

    asyncio.run(run())


@clients.command()
@_realm_options
@click.argument("client_id")
@json_option
@click.pass_obj
def disable(open_services: OpenServices, tenant: str | None, client_id: str, *, platform: bool, as_json: bool) -> None:
    """Disable a client: within a second its tokens open nothing any more."""
    _set_state(open_services, tenant, client_id, platform=platform, enabled=False)
    click.echo(json_line({"client_id": client_id, "state": "disabled"}) if as_json else "Disabled.")


@clients.command()
@_realm_options
@click.argument("client_id")
@json_option
@click.pass_obj
def enable(open_services: OpenServices, tenant: str | None, client_id: str, *, platform: bool, as_json: bool) -> None:
    """Let a disabled client in again."""
    _set_state(open_services, tenant, client_id, platform=platform, enabled=True)
    click.echo(json_line({"client_id": client_id, "state": "active"}) if as_json else "Enabled.")
