"""How a third party comes to a bank: by what its directory has given it, once; later it is the same client."""

import asyncio
import json
import os
from pathlib import Path
from typing import NamedTuple

from billfold import AsyncBillfold
from billfold.auth import AsyncRegistrations, ClientCertificate, MutualTLS, PrivateKeyJWT, Registered
from billfold.auth.credentials import ClientAuthentication
from billfold.consents import AsyncThirdParty
from billfold.keys import PemKey

SCOPES = {"AISP": "accounts", "PISP": "payments", "CBPII": "fundsconfirmations"}


class Software(NamedTuple):
    """What a directory has given a third party.

    Attributes:
        name: What people see.
        roles: What it is licensed for.
        signing_key: The key that its statement names.
        statement: What the directory says of it.
        certificate: Its transport certificate, where the bank is reached by TLS.
    """

    name: str
    roles: list[str]
    signing_key: PemKey
    statement: str
    certificate: ClientCertificate | None


def read_software(data_dir: Path, name: str, *, tls: bool, statement: Path | None = None) -> Software:
    """Read what `billfold up` has made for the software of its development directory.

    Args:
        data_dir: The server's data folder.
        name: Of the software, as `billfold directory list` shows it.
        tls: Whether the bank is reached by TLS, where this app shows its certificate.
        statement: Another statement than the one in the folder.
    """
    folder = data_dir / "directory" / "software" / name
    about = json.loads((folder / "software.json").read_text(encoding="utf-8"))
    certificate = None
    if tls:
        authority = data_dir / "certs" / "ca.pem"
        certificate = ClientCertificate(about["transport_certificate"], about["transport_key"], ca=authority)
    return Software(
        name=about["client_name"],
        roles=about["roles"],
        signing_key=PemKey(folder / "signing.key"),
        statement=(statement or folder / "software_statement.jwt").read_text(encoding="utf-8").strip(),
        certificate=certificate,
    )


async def register(bank: str, software: Software, redirect_uri: str) -> Registered:
    """Register at a bank by the directory's statement, for all that it is licensed for."""
    async with AsyncRegistrations(bank, certificate=software.certificate) as registrations:
        return await registrations.register(
            software_statement=software.statement,
            token_endpoint_auth_method="private_key_jwt" if software.certificate is None else "tls_client_auth",
            grant_types=["client_credentials", "authorization_code", "refresh_token"],
            redirect_uris=[redirect_uri],
            scope=" ".join(["openid", "offline_access", *(SCOPES[role] for role in software.roles)]),
        )


def find_bank(data_dir: Path) -> str:
    """Return the base URL of the sandbox whose server has a data folder."""
    lines = (data_dir / "sandbox.env").read_text(encoding="utf-8").splitlines()
    return next(line.partition("=")[2] for line in lines if line.startswith("BILLFOLD_BASE_URL="))


def find_or_register(bank: str, software: Software, redirect_uri: str, path: Path) -> Registered:
    """Return what was registered before, or register.

    What is registered is kept for this user alone: it holds the token by which it is changed.
    """
    if path.exists():
        return Registered.load(path.read_bytes())
    registered = asyncio.run(register(bank, software, redirect_uri))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(registered.dump())
    return registered


def connect(bank: str, software: Software, registered: Registered, redirect_uri: str) -> AsyncThirdParty:
    """Return the third party at its bank. What it sends is signed by the key that the directory vouches for."""
    auth: ClientAuthentication
    if software.certificate is None:
        # Tokens are bound to a key of this process, so nobody else can use them.
        auth = PrivateKeyJWT(registered.client_id, software.signing_key, dpop=PemKey.generate())
    else:
        auth = MutualTLS(registered.client_id, software.certificate, request_key=software.signing_key)
    client = AsyncBillfold(base_url=bank, auth=auth)
    return AsyncThirdParty(client, signing_key=software.signing_key, redirect_uri=redirect_uri)
