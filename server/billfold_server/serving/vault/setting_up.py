"""Sets a development Vault up as operators do a production's: engine, policies, a role for each kind of process.

All of it can be repeated, and is at every start, so that a newer version's policies replace those of an older one.
"""

from typing import Any, Final

from billfold_server.keys.backends.vault.answers import NotThere
from billfold_server.keys.backends.vault.policies import policies
from billfold_server.private_files import keep_privately
from billfold_server.serving.vault.files import Files

__all__ = ["DEPLOYMENT", "KINDS", "MOUNT", "role_id_file", "secret_id_file", "set_up"]

MOUNT: Final = "transit"
DEPLOYMENT: Final = "billfold"
KINDS: Final = ("worker", "decryptor", "operator")
_LOOPBACK: Final = "127.0.0.0/8"


def role_id_file(files: Files, kind: str) -> str:
    """Return where the role id of a kind of process lies."""
    return str(files.home / f"{kind}.role-id")


def secret_id_file(files: Files, kind: str) -> str:
    """Return where its secret id lies."""
    return str(files.home / f"{kind}.secret-id")


def set_up(client: Any, files: Files) -> None:
    """Make what isn't there.

    Args:
        client: Shows the root token.
        files: Where roles' credentials are kept.
    """
    if f"{MOUNT}/" not in client.sys.list_mounted_secrets_engines()["data"]:
        client.sys.enable_secrets_engine("transit", path=MOUNT)
    # A missing key is an error, whatever a policy allows.
    client.adapter.post(f"/v1/{MOUNT}/config/keys", json={"disable_upsert": True})
    if "approle/" not in client.sys.list_auth_methods()["data"]:
        client.sys.enable_auth_method("approle")
    for name, policy in policies(MOUNT, DEPLOYMENT).items():
        client.sys.create_or_update_policy(name, policy)
    for kind in KINDS:
        _make_role(client, files, kind)


def _make_role(client: Any, files: Files, kind: str) -> None:
    approle, name = client.auth.approle, f"{DEPLOYMENT}-{kind}"
    lives = {"token_ttl": "1h", "token_max_ttl": "24h"}
    approle.create_or_update_approle(name, token_policies=[name], token_bound_cidrs=[_LOOPBACK], **lives)
    role_id = str(approle.read_role_id(name)["data"]["role_id"])
    keep_privately(files.home / f"{kind}.role-id", role_id.encode())
    kept = files.home / f"{kind}.secret-id"
    if not (kept.exists() and _is_known(client, name, kept.read_text())):
        keep_privately(kept, str(approle.generate_secret_id(name)["data"]["secret_id"]).encode())


def _is_known(client: Any, name: str, secret_id: str) -> bool:
    try:
        found = client.auth.approle.read_secret_id(name, secret_id)
    except NotThere:
        return False
    return bool(found)
