"""The way to the decryptor, and its refusals as the errors that they are."""

import secrets
from uuid import UUID

from billfold import errors
from billfold_server.db.sets import as_read
from billfold_server.decryptor.service import Decryptor, Refused
from billfold_server.http.services import Services

__all__ = ["decryptor_of", "error_of", "random_id"]


def decryptor_of(services: Services) -> Decryptor:
    """Return the decryptor.

    Raises:
        errors.KeysUnavailable: This process has none.
    """
    decryptor: Decryptor | None = services.decryptor
    if decryptor is None:
        raise errors.KeysUnavailable("the decryptor isn't running", reason="not_running", retry_after_s=5)
    return decryptor


def error_of(refused: Refused, param: str | None = None) -> errors.ProblemError:
    """Return the error of a refusal's code."""
    kind = errors.ERRORS.get(refused.code)
    # The decryptor may be newer than this process for the moment of an update.
    return errors.Unprocessable(param=param) if kind is None else kind(param=param)


def random_id() -> UUID:
    """Return an id of which all 128 bits are random."""
    return as_read(secrets.randbits(128))
