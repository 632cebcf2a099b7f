"""How a package offers public names without importing what stands behind them until the first is used."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["lazy"]


def lazy(namespace: dict[str, Any], homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return a package's ``__getattr__`` and ``__dir__``.

    A program that signs with a file shall not load Vault's client, and one that sends a client secret no cryptography.

    Args:
        namespace: The package's ``globals()``.
        homes: In which module each public name lives.
    """

    def getter(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(homes[name]), name)
        namespace[name] = value
        return value

    def lister() -> list[str]:
        return sorted({*namespace, *homes})

    return getter, lister
