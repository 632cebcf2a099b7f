"""The decryptor's process of servers in tests, which waits for its key store as long as they do.

``tests.plugins.patience`` starts it in place of the product's own module, and says why.
"""

from typing import Final

from billfold_server.keys.store import KeyStore
from billfold_server.serving.decrypting import main

_OWN_S: Final = 20.0


def wait_longer() -> None:
    """Let the key store of this process take longer than the product does."""
    defaults = KeyStore.__init__.__kwdefaults__
    assert defaults is not None
    assert "timeout_s" in defaults
    defaults["timeout_s"] = _OWN_S


if __name__ == "__main__":
    wait_longer()
    main()
