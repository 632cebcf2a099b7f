"""The policies of least privilege, for who sets Vault up: one per kind of process.

A pattern in a policy may end openly and nowhere else, hence the names of keys: deployment, domain, tenant.
"""

from typing import Final

__all__ = ["KEYS_MADE", "decryptor", "operator", "policies", "worker"]

KEYS_MADE: Final[dict[str, bool | str]] = {
    "type": "aes256-gcm96",
    "derived": True,
    "exportable": False,
    "allow_plaintext_backup": False,
}
"""With which parameters a process may make a key. What else the engine takes at that path and those below it, such as
the oldest version that still opens, isn't for it to say."""


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
    """Return what the API's workers may: use the keys of personal data, and make those of new tenants."""
    return _uses(mount, f"{deployment}-data-*")


def decryptor(mount: str, deployment: str) -> str:
    """Return what the decryptor may: the same with the keys of cards, and with those of personal data."""
    return _uses(mount, f"{deployment}-cards-*") + _uses(mount, f"{deployment}-data-*")


def operator(mount: str, deployment: str) -> str:
    """Return what whoever rotates, retires and destroys keys may, on top of using them."""
    names = f"{deployment}-*"
    paths = [_path(mount, kind, names, "update") for kind in ("encrypt", "decrypt", "rewrap")]
    return "".join([*paths, _path(mount, "keys", names, "read", "update", "delete")])


def _uses(mount: str, names: str) -> str:
    paths = [_path(mount, kind, names, "update") for kind in ("encrypt", "decrypt", "rewrap")]
    return "".join([*paths, _path(mount, "keys", names, "read", "update", allowed=KEYS_MADE)])


def _path(mount: str, kind: str, names: str, *may: str, allowed: dict[str, bool | str] | None = None) -> str:
    lines = [f"  capabilities = [{', '.join(map(_written, may))}]"]
    if allowed is not None:
        lines.append("  allowed_parameters = {")
        lines += [f"    {name} = [{_written(value)}]" for name, value in allowed.items()]
        lines.append("  }")
    body = "\n".join(lines)
    return f'path "{mount.strip("/")}/{kind}/{names}" {{\n{body}\n}}\n'


def _written(value: bool | str) -> str:  # noqa: FBT001 - What HCL takes.
    return f'"{value}"' if isinstance(value, str) else str(value).lower()
