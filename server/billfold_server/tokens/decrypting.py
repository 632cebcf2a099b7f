"""What this room asks of the decryptor, the one process that sees what vault tokens stand for."""

from billfold_server.decryptor.service import (
    Decryptor,
    Fingerprint,
    Given,
    Incoming,
    Outgoing,
    PublicKey,
    Refused,
    Taken,
)

__all__ = ["Decryptor", "Fingerprint", "Given", "Incoming", "Outgoing", "PublicKey", "Refused", "Taken"]
