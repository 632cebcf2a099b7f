"""Fixtures of keys: a key store, and keys as a process has them."""

from tests.keystores import key_store_urls, keyring, new_keys, owner, store

__all__ = ["key_store_urls", "keyring", "new_keys", "owner", "store"]
