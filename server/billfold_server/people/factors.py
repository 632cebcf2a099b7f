"""Factors beside the password: authenticator apps and recovery codes (RFC 6238, NIST SP 800-63B-4, section 3.1)."""

import base64
import io
import secrets
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
import pyotp
import segno
import structlog

from billfold import ids
from billfold.contract import events
from billfold.ids import Prefix
from billfold_server.keys.service import SealBroken
from billfold_server.people import queries
from billfold_server.people.desk import Desk, tell, user_id_of
from billfold_server.people.pages import brand
from billfold_server.people.queries import FactorRow, UserRow
from billfold_server.people.rules import Held, Method
from billfold_server.tenancy.transaction import Tx

__all__ = [
    "NOBODY",
    "NewTotp",
    "Used",
    "add_totp",
    "held",
    "new_recovery_codes",
    "new_row",
    "new_totp",
    "qr_of",
    "tell_enrolled",
    "use_code",
]

_log = structlog.stdlib.get_logger("billfold.people")

NOBODY: Final = UUID(int=0)
"""Nobody's id."""
_NOBODYS: Final = pyotp.random_base32(32)

_STEP_S: Final = 30
_WINDOW: Final = 1
_DIGITS: Final = 6
_CODES: Final = 10
_GROUP: Final = 4
_CODE_BYTES: Final = 10
_CROCKFORD: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789abcdefghjkmnpqrstvwxyz")
_LOOKS_LIKE: Final = str.maketrans("iloILO", "110110", " -\t")


class NewTotp(msgspec.Struct, frozen=True):
    """A secret that has been shown, but not yet proved to have arrived."""

    secret: str
    factor_id: UUID


class Used(msgspec.Struct, frozen=True):
    """A code that was right.

    Attributes:
        method: Which kind of code it was.
        factor_id: Of which app; None is a recovery code.
    """

    method: Method
    factor_id: UUID | None


def held(user: UserRow, factors: list[FactorRow], now: datetime) -> Held:
    """Return what somebody can prove it by."""
    kinds = [factor.kind for factor in factors if factor.is_good(now)]
    return Held(user.password_hash is not None, kinds.count("totp"), kinds.count("passkey"))


def new_totp() -> NewTotp:
    """Return a new secret of 160 bits (RFC 4226, section 4)."""
    return NewTotp(pyotp.random_base32(32), ids.uuid7())


def qr_of(desk: Desk, user: UserRow, totp: NewTotp) -> str:
    """Return the picture that an authenticator app reads, as SVG without style or script."""
    name = brand.brand_of(desk.call.tenant_or_none).display_name
    uri = pyotp.TOTP(totp.secret).provisioning_uri(name=user.login_name, issuer_name=name.replace(":", " "))
    out = io.BytesIO()
    segno.make(uri, error="m", micro=False).save(out, kind="svg", xmldecl=False, svgns=True, omitsize=True, border=2)
    return out.getvalue().decode()


def matching_step(secret: str, code: str, now_s: int) -> int | None:
    """Return the time step whose code this is, from one before to one after the present, or None.

    All are compared in any case, so that the time taken doesn't tell which one it was.
    """
    totp = pyotp.TOTP(secret, digits=_DIGITS, interval=_STEP_S)
    present = now_s // _STEP_S
    steps = range(present - _WINDOW, present + _WINDOW + 1)
    matches = [step for step in steps if secrets.compare_digest(totp.generate_otp(step).encode(), code.encode())]
    return matches[0] if matches else None


async def add_totp(
    desk: Desk, tx: Tx, user: UserRow, totp: NewTotp, *, code: str, label: str, good_from: datetime | None = None
) -> bool:
    """Enrol an authenticator app that has shown its first code, and tell whether the code was right.

    Args:
        desk: The request, which has at hand what seals a secret.
        tx: An open transaction.
        user: Whose app.
        totp: Its secret.
        code: The code that it has shown.
        label: What its owner calls it.
        good_from: From when it counts; from now on where absent.
    """
    step = matching_step(totp.secret, _digits(code), desk.now_s)
    if step is None:
        return False
    sealed = desk.seal_secret(totp.factor_id, totp.secret)
    row = new_row(totp.factor_id, user, "totp", label, now=desk.now, good_from=good_from)
    await queries.insert_factor(tx, msgspec.structs.replace(row, sealed_secret=sealed, last_step=step))
    await tell_enrolled(desk, tx, user, row)
    return True


async def tell_enrolled(desk: Desk, tx: Tx, user: UserRow, row: FactorRow) -> None:
    """Tell of a new factor, and from when it counts where it waits: so that the bank can notify its owner."""
    facts: dict[str, str | int | list[str]] = {"factor_id": ids.encode(Prefix.FACTOR, row.id), "kind": row.kind}
    if not row.is_good(desk.now):
        facts["good_from"] = row.good_from.isoformat()
    await tell(tx, desk.caller(user.id), events.USER_FACTOR_ENROLLED, user, facts=facts)


def new_row(
    factor_id: UUID, user: UserRow, kind: str, label: str, *, now: datetime, good_from: datetime | None = None
) -> FactorRow:
    """Return a factor of which only the kind is known yet; it counts from now on, unless something else is said."""
    return FactorRow(
        id=factor_id,
        user_id=user.id,
        kind=kind,
        label=label[:100] or kind,
        state="active",
        sealed_secret=None,
        last_step=None,
        credential_id=None,
        public_key=None,
        sign_count=None,
        rp_id=None,
        transports=None,
        backed_up=None,
        good_from=good_from or now,
        created_at=now,
        last_used_at=None,
    )


def _digits(code: str) -> str:
    return "".join(code.split()).replace("-", "")


async def use_code(desk: Desk, tx: Tx, user: UserRow | None, code: str, *, recovery: bool) -> Used | None:
    """Spend a code of an authenticator app, or a recovery code, and return which it was; None where it is neither.

    Args:
        desk: The request, which has the secrets of apps at hand.
        tx: An open transaction, which must commit.
        user: Who; None is nobody, for whom as much is done.
        code: As it was typed.
        recovery: Whether a recovery code will do.
    """
    typed = _digits(code)
    if len(typed) == _DIGITS and typed.isascii() and typed.isdigit():
        theirs = await queries.list_factors(tx, NOBODY if user is None else user.id, lock=True)
        if user is None:
            matching_step(_NOBODYS, typed, desk.now_s)
        for factor in theirs:
            if factor.sealed_secret is None or not factor.is_good(desk.now):
                continue
            try:
                secret = desk.open_secret(factor.id, factor.sealed_secret)
            except SealBroken:
                # Its owner can still come in by another factor, or a recovery code.
                _log.exception("an authenticator app's secret doesn't open", factor=str(factor.id))
                continue
            step = matching_step(secret, typed, desk.now_s)
            if step is not None and await queries.use_totp(tx, factor.id, step, desk.now):
                return Used("otp", factor.id)
        return None
    user_id = NOBODY if user is None else user.id
    if recovery and await queries.use_recovery_code(tx, user_id, _kept(desk, user_id, code), desk.now):
        assert user is not None
        left = await queries.count_recovery_codes(tx, user.id)
        await tell(tx, desk.caller(user.id), events.USER_RECOVERY_CODE_USED, user, facts={"left": left})
        return Used("recovery", None)
    return None


async def new_recovery_codes(desk: Desk, tx: Tx, user: UserRow) -> list[str]:
    """Make ten new recovery codes of 80 bits each, in place of all others, and return them, this once."""
    codes = [_grouped(base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode()) for _ in range(_CODES)]
    await queries.replace_recovery_codes(tx, user.id, [_kept(desk, user.id, code) for code in codes], desk.now)
    await tell(tx, desk.caller(user.id), events.USER_RECOVERY_CODES_MADE, user, facts={"number": len(codes)})
    return codes


def _grouped(text: str) -> str:
    spelled = text.translate(_CROCKFORD)
    return "-".join(spelled[at : at + _GROUP] for at in range(0, len(spelled), _GROUP))[: 2 * _CODE_BYTES]


def _kept(desk: Desk, user_id: UUID, code: str) -> bytes:
    """Return what is kept of a recovery code. It has 80 random bits, so a keyed digest does."""
    typed = code.translate(_LOOKS_LIKE).lower()
    return desk.people.digest("recovery codes", desk.owner, user_id_of(user_id), typed)
