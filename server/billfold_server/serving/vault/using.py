"""What a server and its commands do with the Vault of their data folder."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from billfold_server.private_files import keep_privately
from billfold_server.serving.database import Step
from billfold_server.serving.failures import Exit, Failure
from billfold_server.serving.vault.files import Files
from billfold_server.serving.vault.setting_up import DEPLOYMENT, MOUNT, role_id_file, secret_id_file
from billfold_server.settings import Settings

if TYPE_CHECKING:
    from billfold_server.serving.vault.server import DevelopmentVault

__all__ = ["development_vault", "used"]


@asynccontextmanager
async def development_vault(
    settings: Settings,
    *,
    wanted: bool | None = None,
    role: Literal["server", "operator"] = "server",
    step: Step = lambda _: None,
) -> AsyncIterator[Settings]:
    """Run the data folder's Vault until the block ends, and yield settings by which it is used.

    A folder that has one keeps it: whatever was wrapped there opens nowhere else. So it runs though nobody asks for it,
    and where somebody asks for none, new keys alone come from the keyring.

    Args:
        settings: With a data folder that is there.
        wanted: Whether to wrap new keys by it; where nobody says, as the time before.
        role: What the process may: serve, or rotate, retire and destroy keys as well.
        step: Is told what is being done.

    Raises:
        Failure: It can't be had, or isn't for this environment.
    """
    files = Files(Path(settings.data_dir))
    has_one = files.root_token.exists()
    if wanted:
        _refuse(settings)
    elif not has_one or settings.production or settings.vault_address is not None:
        yield settings
        return
    # Its library costs each start a tenth of a second, and most servers have no Vault of their own.
    from billfold_server.serving.vault.server import DevelopmentVault  # noqa: PLC0415

    step("Starting Vault")
    vault = DevelopmentVault(Path(settings.data_dir))
    await _start(vault)
    stopping = threading.Event()
    watch = threading.Thread(target=vault.watch, args=[stopping], name="watch-vault", daemon=True)
    watch.start()
    try:
        yield used(settings, files, wanted=wanted, role=role)
    finally:
        stopping.set()
        await asyncio.to_thread(watch.join)
        await asyncio.to_thread(vault.stop)


async def _start(vault: "DevelopmentVault") -> None:
    """Wait for a thread to its end even when cancelled, since it can't be; what it began is undone then."""
    task = asyncio.create_task(asyncio.to_thread(vault.start))
    try:
        await asyncio.shield(task)
    except BaseException:
        await asyncio.wait([task])
        await asyncio.to_thread(vault.stop)
        raise


def _refuse(settings: Settings) -> None:
    if settings.production:
        raise Failure(
            "vault_in_production",
            "The Vault that --vault starts is for development: in production, name yours in BILLFOLD_VAULT_ADDRESS.",
            Exit.SETTINGS,
        )
    if settings.vault_address is not None:
        raise Failure(
            "vault_named",
            "BILLFOLD_VAULT_ADDRESS names a Vault, and --vault would start another: leave one of the two out.",
            Exit.SETTINGS,
        )


def used(
    settings: Settings, files: Files, *, wanted: bool | None = None, role: Literal["server", "operator"] = "server"
) -> Settings:
    """Return settings by which a data folder's Vault is used, which has been set up before.

    Args:
        settings: With that data folder.
        files: Of the Vault.
        wanted: Whether to wrap new keys by it from now on; where nobody says, as the time before.
        role: What the process may.
    """
    backend: Literal["local", "vault"] = "vault"
    if wanted is not None:
        backend = "vault" if wanted else "local"
        keep_privately(files.backend, backend.encode())
    elif files.backend.exists() and files.backend.read_text() == "local":
        backend = "local"
    worker, decryptor = ("worker", "decryptor") if role == "server" else ("operator", "operator")
    return msgspec.structs.replace(
        settings,
        key_backend=backend,
        vault_address=files.address,
        vault_mount=MOUNT,
        vault_deployment=DEPLOYMENT,
        vault_login="approle",
        vault_role_id=Path(role_id_file(files, worker)).read_text(),
        vault_secret_id_file=secret_id_file(files, worker),
        vault_cards_role_id=Path(role_id_file(files, decryptor)).read_text(),
        vault_cards_secret_id_file=secret_id_file(files, decryptor),
    )
