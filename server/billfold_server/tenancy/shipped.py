"""The tenants that come with Billfold, and how a tenant's folder is found by its name or path."""

from pathlib import Path

__all__ = ["find_folder", "shipped_tenants"]


def shipped_tenants() -> Path:
    """Return the folder of the tenants that come with Billfold: in the installed package, or in the checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_tenants"
    return installed if installed.is_dir() else package.parents[1] / "tenants"


def find_folder(name: str) -> Path:
    """Return the folder of a tenant, by path, or by the name of one that comes with Billfold.

    The folder need not exist; reading it tells so.
    """
    path = Path(name)
    if path.name == "tenant.toml":
        path = path.parent
    if not path.is_dir() and name.isidentifier() and (shipped := shipped_tenants() / name).is_dir():
        return shipped
    return path.resolve()
