"""The sandbox tenant and the API client that its developer uses, made on the first start.

The client's secret is kept in a file that only its owner may read, so that later starts can show it again. That is for
development alone: a production server makes no sandbox, and nothing keeps the secrets of its clients.
"""

import shlex
from pathlib import Path

from billfold_server.http.services import Services
from billfold_server.identity.rules import TENANT_SCOPES
from billfold_server.identity.service import create_client, knows_secret
from billfold_server.private_files import keep_privately
from billfold_server.sandbox import seeding
from billfold_server.serving.customers import ensure_customers, ensure_sign_ins
from billfold_server.serving.database import Step
from billfold_server.serving.developer import ensure_developer
from billfold_server.serving.directory.setting_up import believing
from billfold_server.serving.welcome import SANDBOX_FILE, Credentials
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.manifest import SoftwarePublisher, load_manifest
from billfold_server.tenancy.shipped import find_folder

__all__ = ["SLUG", "ensure_sandbox"]

SLUG = "sandbox"
_HEADING = "# How to reach the sandbox. The SDK reads these variables; `billfold up` rewrites the file.\n"
_TRUST = (
    "# Whoever calls it must trust the authority that it has made for itself, which is one of these:\n"
    "#   export SSL_CERT_FILE={0}\n"
    "#   billfold login --ca {0} --credentials THIS_FILE\n"
)


async def ensure_sandbox(
    services: Services,
    *,
    step: Step,
    file: str = SANDBOX_FILE,
    publisher: SoftwarePublisher | None = None,
    seed: int | None = None,
    ca_file: str | None = None,
) -> Credentials:
    """Return the credentials of the sandbox, made with it where they aren't there or don't work (any longer).

    Args:
        services: The server's parts.
        step: Is told what is being done.
        file: Where in the data folder the credentials are kept.
        publisher: Whose statements the sandbox shall believe of the software of third parties.
        seed: From what its customers follow, where there are none yet.
        ca_file: The authority that clients must be told to trust, where the server has made one for itself.
    """
    tenant = await services.registry.find(SLUG)
    if tenant is not None and tenant.state == "deleting":
        # Nobody but a server goes on with that by itself, and this one isn't there yet.
        step("Deleting the former sandbox")
        await services.tenants.carry_out_deletion(SLUG)
        tenant = await services.registry.find(SLUG)
    if tenant is None or tenant.state == "provisioning":
        step("Creating the sandbox")
        manifest = load_manifest(find_folder(SLUG))
        await services.tenants.apply(manifest if publisher is None else believing(manifest, publisher))
        tenant = await services.registry.get(SLUG)
    elif publisher is not None and (manifest := believing(tenant.manifest, publisher)) != tenant.manifest:
        await services.tenants.apply(manifest)
    if publisher is not None:
        # Who is only embedded in a program gets a tenant without anybody in it.
        step("Looking after the sandbox's customers")
        await ensure_customers(services, tenant, seed)
        data_dir = Path(services.settings.data_dir)
        await ensure_sign_ins(services, tenant, data_dir)
        await ensure_developer(services, tenant, data_dir)
    base_url = f"{services.settings.base_url}/t/{SLUG}"
    path = Path(services.settings.data_dir) / file
    found = _read(path)
    # Another database or keyring may have come since.
    if found is None or not await knows_secret(services, services.identity.realm(tenant), *found):
        found = await _new_client(services, tenant)
    _write(path, base_url, *found, ca_file=ca_file)
    async with services.database.tx(tenant) as tx:
        begun = await seeding.find(tx)
    return Credentials(
        base_url=base_url,
        client_id=found[0],
        client_secret=found[1],
        file=str(path),
        seed=None if begun is None else begun.seed,
        suspended=tenant.state == "suspended",
    )


async def _new_client(services: Services, tenant: TenantRef) -> tuple[str, str]:
    async with services.database.tx(tenant) as tx:
        client, secret = await create_client(
            tx, services.keyring, name="sandbox developer", scopes=sorted(TENANT_SCOPES), now=services.clock.now()
        )
    return client.client_id, secret


def _read(path: Path) -> tuple[str, str] | None:
    try:
        pairs = dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line and line[0] != "#")
        return pairs["BILLFOLD_CLIENT_ID"], pairs["BILLFOLD_CLIENT_SECRET"]
    except (OSError, KeyError, UnicodeDecodeError):
        return None


def _write(path: Path, base_url: str, client_id: str, client_secret: str, *, ca_file: str | None) -> None:
    """Write the file for its owner alone, whole or not at all."""
    trust = "" if ca_file is None else _TRUST.format(shlex.quote(ca_file))
    text = (
        f"{_HEADING}{trust}BILLFOLD_BASE_URL={base_url}\n"
        f"BILLFOLD_CLIENT_ID={client_id}\nBILLFOLD_CLIENT_SECRET={client_secret}\n"
    )
    keep_privately(path, text.encode())
