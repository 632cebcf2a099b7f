"""By what the sandbox's customers, and its developer, sign in: made up once, and kept in a folder for its owner alone.

Somebody who tries the bank out signs in as them at once, with a password and an authenticator app as everybody has, and
nobody else knows either: both are random, and only a sandbox takes people who haven't enrolled by themselves.
"""

import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec
import pyotp

from billfold_server.private_files import keep_privately
from billfold_server.serving.welcome import CUSTOMERS_FILE

__all__ = ["SignIn", "codes_now", "made_up", "read_sign_ins", "write_sign_ins"]

_STEP_S: Final = 30
_PASSWORD_BYTES: Final = 12


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """By what somebody signs in.

    Attributes:
        name: The login name.
        display_name: Who they are.
        password: Their password.
        totp_secret: Of their authenticator app, in base 32.
        totp_uri: The same as an app reads it.
    """

    name: str
    display_name: str
    password: str
    totp_secret: str
    totp_uri: str

    def __repr__(self) -> str:
        """Show who it is, and no secret."""
        return f"SignIn({self.name!r})"


def codes_now(sign_in: SignIn) -> tuple[str, str]:
    """Return the code that somebody's app shows, and the next one, which the server takes already."""
    totp, step = pyotp.TOTP(sign_in.totp_secret), int(time.time()) // _STEP_S
    return totp.generate_otp(step), totp.generate_otp(step + 1)


def read_sign_ins(data_dir: Path, file: str = CUSTOMERS_FILE) -> list[SignIn]:
    """Return by what people of a data folder's sandbox sign in, its customers; nothing where there are none."""
    try:
        return msgspec.json.decode((data_dir / file).read_bytes(), type=list[SignIn])
    except (OSError, msgspec.MsgspecError):
        return []


def made_up(name: str, display_name: str) -> SignIn:
    """Return by what somebody is to sign in."""
    secret = pyotp.random_base32(32)
    return SignIn(
        name=name,
        display_name=display_name,
        password=secrets.token_urlsafe(_PASSWORD_BYTES),
        totp_secret=secret,
        totp_uri=f"otpauth://totp/{quote(f'Billfold sandbox:{name}')}?secret={secret}&issuer=Billfold%20sandbox",
    )


def write_sign_ins(data_dir: Path, sign_ins: Iterable[SignIn], file: str = CUSTOMERS_FILE) -> None:
    """Write the file for its owner alone, whole or not at all."""
    text = msgspec.json.format(msgspec.json.encode(list(sign_ins)), indent=2)
    keep_privately(data_dir / file, text + b"\n")
