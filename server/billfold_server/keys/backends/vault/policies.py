"""The policies of least privilege, for who sets Vault up: one per kind of process.

A pattern in a policy may end openly and nowhere else, hence the names of keys: deployment, domain, tenant.
"""

from typing import Final

__all__ = ["ALLOWED", "decryptor", "operator", "policies", "worker"]

ALLOWED: Final[dict[str, tuple[bool | str, ...]]] = {
    # As what it may make a key: one that never comes out.
    "type": ("aes256-gcm96",),
    "derived": (True,),
    "exportable": (False,),
    "allow_plaintext_backup": (False,),
    # How it lets go of versions that nothing needs any more; which ones is for it to say.
    "min_decryption_version": (),
    "min_encryption_version": (),
    "min_available_version": (),
}
"""With which parameters a process may make and change a key. ``deletion_allowed`` isn't among them."""


def policies(mount: str, deployment: str) -> dict[str, str]:
    """Return every policy by its name.

    Args:
        mount: Where the transit engine is mounted.
        deployment: How the names of the deployment's keys begin.
    """
    return {
        f"{deployment}-worker": worker(mount, deployment),
        f"{deployment}-decryptor": decryptor(mount, deployment),
        f"{deployment}-operator": operator(mount, deployment),
    }


def worker(mount: str, deployment: str) -> str:
    """Return what the API's workers may: make, use and rotate the keys of personal data, and let go of old versions."""
    return _uses(mount, f"{deployment}-data-*")


def decryptor(mount: str, deployment: str) -> str:
    """Return what the decryptor may: the same with the keys of cards, and with no others."""
    return _uses(mount, f"{deployment}-cards-*")


def operator(mount: str, deployment: str) -> str:
    """Return what whoever gives commands may: all of that with every key, and destroy it."""
    names = f"{deployment}-*"
    paths = [_path(mount, kind, names, "update") for kind in ("encrypt", "decrypt", "rewrap")]
    return "".join([*paths, _path(mount, "keys", names, "read", "update", "delete")])


def _uses(mount: str, names: str) -> str:
    paths = [_path(mount, kind, names, "update") for kind in ("encrypt", "decrypt", "rewrap")]
    return "".join([*paths, _path(mount, "keys", names, "read", "update", allowed=ALLOWED)])


def _path(
    mount: str, kind: str, names: str, *may: str, allowed: dict[str, tuple[bool | str, ...]] | None = None
) -> str:
    lines = [f"  capabilities = [{', '.join(map(_written, may))}]"]
    if allowed is not None:
        lines.append("  allowed_parameters = {")
        lines += [f"    {name} = [{', '.join(map(_written, values))}]" for name, values in allowed.items()]
        lines.append("  }")
    body = "\n".join(lines)
    return f'path "{mount.strip("/")}/{kind}/{names}" {{\n{body}\n}}\n'


def _written(value: bool | str) -> str:  # noqa: FBT001 - What HCL takes.
    return f'"{value}"' if isinstance(value, str) else str(value).lower()
