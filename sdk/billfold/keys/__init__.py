"""Keys that sign for a client: in a file, or in Vault, which the private key never leaves.

::

    from billfold.keys import PemKey

    key = PemKey.generate("ES256")
    key.save("client.pem")  # Readable by its owner alone.
    print(key.jwks())  # What is registered for the client.

Whatever follows the protocol ``Signer`` can take their place, such as a module of hardware.
"""

from typing import TYPE_CHECKING

from billfold._lazy import lazy

if TYPE_CHECKING:
    from billfold.keys.pem import PemKey
    from billfold.keys.signer import (
        Algorithm,
        KeyForbidden,
        KeyProblem,
        KeyUnavailable,
        KeyUnusable,
        Signer,
        thumbprint,
    )
    from billfold.keys.vault import VaultTransitKey

__all__ = [
    "Algorithm",
    "KeyForbidden",
    "KeyProblem",
    "KeyUnavailable",
    "KeyUnusable",
    "PemKey",
    "Signer",
    "VaultTransitKey",
    "thumbprint",
]

__getattr__, __dir__ = lazy(
    globals(),
    {
        "Algorithm": "billfold.keys.signer",
        "KeyForbidden": "billfold.keys.signer",
        "KeyProblem": "billfold.keys.signer",
        "KeyUnavailable": "billfold.keys.signer",
        "KeyUnusable": "billfold.keys.signer",
        "PemKey": "billfold.keys.pem",
        "Signer": "billfold.keys.signer",
        "VaultTransitKey": "billfold.keys.vault",
        "thumbprint": "billfold.keys.signer",
    },
)
