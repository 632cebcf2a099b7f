"""Keys: what this deployment keeps secret, who may have it sealed and opened, and how it is forgotten.

``Keys`` gives out sealers and openers. Both are made before, or after, a transaction of a tenant: they may have to ask
the key store, or even the backend. With them in hand, sealing and opening is arithmetic.

The ``Keyring`` is the deployment's own secret, from which others are derived.
"""

from billfold_server.keys.administration import (
    KeyStoreUnsuitable,
    check_store,
    create_database,
    prepare_store,
    same_database,
)
from billfold_server.keys.backends import Backend, BackendName, Health, Observe, TenantKey, Versions, Wrapped
from billfold_server.keys.backends.local import LocalBackend
from billfold_server.keys.backends.registry import Backends
from billfold_server.keys.backups import BackupUnusable
from billfold_server.keys.cache import Limits
from billfold_server.keys.destruction import EndingKeys
from billfold_server.keys.hierarchy import PLATFORM_KEYS, KeyOwner, Keys
from billfold_server.keys.keeping import Keeper
from billfold_server.keys.keyring import Keyring, KeyringUnusable, open_keyring
from billfold_server.keys.rewrapping import Rewrap
from billfold_server.keys.rotation import rotate, rotate_as_asked
from billfold_server.keys.rules import DOMAINS, TENANT_SUBJECT, Domain, Place, SealBroken, key_id_of
from billfold_server.keys.sealing import Fingerprint, Fingerprinter, Opener, Sealer
from billfold_server.keys.shredding import FORGOTTEN_JOB, Forgotten, shred
from billfold_server.keys.standing import list_forgotten, standing
from billfold_server.keys.store import KeyStore
from billfold_server.keys.verifying import BackupUnreadable
from billfold_server.settings import Mistake, Settings, SettingsInvalid

__all__ = [
    "DOMAINS",
    "FORGOTTEN_JOB",
    "PLATFORM_KEYS",
    "TENANT_SUBJECT",
    "Backend",
    "BackendName",
    "Backends",
    "BackupUnreadable",
    "BackupUnusable",
    "Domain",
    "EndingKeys",
    "Fingerprint",
    "Fingerprinter",
    "Forgotten",
    "Health",
    "Keeper",
    "KeyOwner",
    "KeyStore",
    "KeyStoreUnsuitable",
    "Keyring",
    "KeyringUnusable",
    "Keys",
    "Limits",
    "LocalBackend",
    "Opener",
    "Place",
    "Rewrap",
    "SealBroken",
    "Sealer",
    "TenantKey",
    "Versions",
    "Wrapped",
    "check_store",
    "create_database",
    "key_id_of",
    "list_forgotten",
    "open_keyring",
    "open_keys",
    "prepare_store",
    "rotate",
    "rotate_as_asked",
    "same_database",
    "shred",
    "standing",
]


def open_keys(
    settings: Settings, keyring: Keyring, *, domain: Domain = "data", observe: Observe = lambda *_: None
) -> Keys:
    """Return the keys of one domain, for one process. Nothing connects before it is first used.

    Args:
        settings: Where the key store is, and which backend wraps.
        keyring: The deployment's secret.
        domain: Whose keys.
        observe: Is told of each call to Vault.

    Raises:
        SettingsInvalid: There is no key store; whoever runs an embedded one says where it is.
    """
    if settings.key_store_url is None:
        raise SettingsInvalid([Mistake("key_store_url", "There is no key store; set BILLFOLD_KEY_STORE_URL.")])
    store = KeyStore(settings.key_store_url.reveal())
    return Keys(store, _backends(settings, keyring, store, domain, observe), domain=domain)


def _backends(settings: Settings, keyring: Keyring, store: KeyStore, domain: Domain, observe: Observe) -> Backends:
    """Return the one for what is new, and the other one where both can be reached, for what is still to be moved."""
    local = LocalBackend(keyring, store)
    if settings.vault_address is None:
        return Backends(local)
    from billfold_server.keys.backends.vault.backend import open_vault  # noqa: PLC0415 - Its library costs a tenth of a second.

    vault = open_vault(settings, domain, sealing_key=keyring.derive("vault secret ids"), observe=observe)
    return Backends(vault, local) if settings.key_backend == "vault" else Backends(local, vault)
