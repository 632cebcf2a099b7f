"""What ``billfold doctor`` says of the Vault that the settings name, or that a server runs in its data folder."""

from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import asyncpg

from billfold import errors
from billfold_server.db.connections import hang_up
from billfold_server.db.embedded.locks import is_locked
from billfold_server.keys.backends import TenantKey
from billfold_server.keys.backends.vault.answers import Cause
from billfold_server.keys.backends.vault.backend import VaultBackend, open_vault
from billfold_server.keys.rules import Domain, SealBroken
from billfold_server.keys.service import open_keyring
from billfold_server.serving import rules
from billfold_server.serving.rules import Check
from billfold_server.serving.vault.files import Files
from billfold_server.serving.vault.using import used
from billfold_server.settings import Settings

__all__ = ["examine_kept", "examine_vault"]

_MENDED: Final[dict[Cause, str]] = {
    "credentials_missing": "There is nothing to log in to Vault by: see that the files exist that the settings name.",
    "failing": "Vault answers with errors: its own log says why.",
    "forbidden": "Vault's policy for this role doesn't allow what it needs: see DEPLOYING for the three policies.",
    "garbage": "Something else than Vault answers: correct BILLFOLD_VAULT_ADDRESS.",
    "key_unfit": "A key in Vault is of another kind: it must be derived, and not exportable.",
    "login_refused": "Vault doesn't let us log in: see that role and credentials are the right ones, and still good.",
    "not_initialized": "Vault isn't initialized: its operators have to do that.",
    "overloaded": "Vault has too much to do: see its rate limits.",
    "sealed": "Vault is sealed: unseal it; the server needs no restart then.",
    "slow": "Vault doesn't answer in time: see what it is waiting for, and the network between.",
    "standby": "A standby of Vault answers, and doesn't hand requests on: name the cluster's address.",
    "unreachable": "Vault can't be reached: start it, or correct BILLFOLD_VAULT_ADDRESS.",
    "untrusted": "Vault's certificate isn't one that we trust: name its authority in BILLFOLD_VAULT_CA_FILE.",
}


_LOOKED_AT: Final = 50
"""Of so many tenants' keys, the newest ones', Vault is asked: it has lost all of them, or these."""
_WRAPPED: Final = f"""
SELECT tenant_id, max(key_version) AS version FROM billfold_keys.key_epochs
WHERE domain = 'data' AND backend = 'vault' AND lost_at IS NULL
GROUP BY tenant_id ORDER BY max(created_at) DESC LIMIT {_LOOKED_AT}
"""  # noqa: S608 - a constant


async def examine_vault(settings: Settings) -> list[Check]:
    """Log in as a worker does, and see what that may; no check where there is no Vault, named or in the data folder.

    The data folder's own is looked at while a server runs it, and isn't started for this.
    """
    found = _found(settings)
    if not isinstance(found, Settings):
        return [] if found is None else [found]
    backend = _opened(found)
    try:
        return [await _judge(backend, needed=found.key_backend == "vault")]
    finally:
        await backend.close()


async def examine_kept(settings: Settings, key_store_dsn: str) -> list[Check]:
    """See that Vault has the keys that have wrapped what lies in the key store; no check where there is no such Vault.

    Another Vault, or one that was brought back from before, answers and lets us in as well as the right one.
    """
    found = _found(settings)
    if not isinstance(found, Settings):
        return []
    backend = _opened(found)
    try:
        connection = await asyncpg.connect(key_store_dsn, timeout=5)
        try:
            rows = await connection.fetch(_WRAPPED)
        finally:
            await hang_up(connection, timeout_s=5)
        lacking = [row["tenant_id"] for row in rows if await _lacks(backend, row["tenant_id"], row["version"])]
    except errors.KeysUnavailable:
        # Why that is has been said already.
        return []
    finally:
        await backend.close()
    return [rules.judge_wrapping(lacking, of=len(rows))] if rows else []


async def _lacks(backend: VaultBackend, tenant_id: UUID, version: int) -> bool:
    """Tell whether Vault doesn't know the version of a tenant's key that has wrapped what came last."""
    try:
        found = await backend.versions(TenantKey(tenant_id, "data"))
    except SealBroken:
        return True
    return not found.least <= version <= found.latest


def _found(settings: Settings) -> Settings | Check | None:
    """Return settings that name the Vault; why it isn't asked, where it needn't be; None where there is none."""
    if settings.vault_address is None:
        files = Files(Path(settings.data_dir))
        if settings.production or not files.root_token.exists():
            return None
        if not is_locked(files.running):
            return Check("vault", "ok", "The data folder's own Vault isn't running; billfold up starts it.")
        settings = used(settings, files)
    kept = Path(settings.data_dir) / "vault" / "secret-id-data"
    if settings.vault_secret_id_wrapped and not (kept.exists() and settings.keyring_path.exists()):
        return Check("vault", "ok", "Its secret id is still wrapped; the first start unwraps it.")
    return settings


def _opened(settings: Settings) -> VaultBackend:
    """Return that Vault as a worker asks it."""
    # Nothing is sealed by this where nothing is wrapped, and doctor makes no keyring.
    key = open_keyring(settings).derive("vault secret ids") if settings.vault_secret_id_wrapped else bytes(32)
    return open_vault(settings, "data", sealing_key=key)


async def _judge(backend: VaultBackend, *, needed: bool) -> Check:
    if not await _may(backend, "data"):
        return Check("vault", "fail" if needed else "warn", _MENDED[backend.cause or "unreachable"])
    if await _may(backend, "cards"):
        sentence = "Vault lets the API's workers open cards, too: give the decryptor a role of its own."
        return Check("vault", "warn", sentence)
    return Check("vault", "ok", "Vault answers, lets us in, and allows what is needed.")


async def _may(backend: VaultBackend, domain: Domain) -> bool:
    """Tell whether a key could be used, by looking at one that isn't there."""
    try:
        await backend.versions(TenantKey(uuid4(), domain))
    except SealBroken:
        return True
    except errors.KeysUnavailable:
        return False
    return True
