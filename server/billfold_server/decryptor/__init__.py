"""The decryptor: the one process that sees card numbers, and what the others say to it."""
