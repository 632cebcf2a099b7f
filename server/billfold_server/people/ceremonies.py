"""WebAuthn's two ceremonies (Level 3, sections 7.1 and 7.2), as the library knows them.

The library takes a tenth of a second to load, so ``passkeys`` imports this when somebody is asked for a passkey.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import parse_authentication_credential_json
from webauthn.helpers.cose import COSEAlgorithmIdentifier as Alg
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticationCredential,
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from billfold_server.people.desk import TICKET_S, Place
from billfold_server.people.queries import FactorRow, UserRow

__all__ = ["Made", "Seen", "check_made", "check_shown", "options_to_make", "options_to_show", "read_shown"]

_ALGORITHMS: Final = [Alg.EDDSA, Alg.ECDSA_SHA_256, Alg.RSASSA_PKCS1_v1_5_SHA_256]


class Seen(msgspec.Struct, frozen=True):
    """A passkey that has signed what was asked.

    Attributes:
        sign_count: Its counter.
        backed_up: Whether a copy of it is elsewhere.
        can_move: Whether it may be on several devices.
    """

    sign_count: int
    backed_up: bool
    can_move: bool


class Made(msgspec.Struct, frozen=True):
    """A passkey that a browser has made.

    Attributes:
        id: By which it is found.
        public_key: As COSE has it.
        transports: How its device is reached.
        seen: As it was when it was made.
    """

    id: bytes
    public_key: bytes
    transports: list[str]
    seen: Seen


def options_to_show(place: Place, challenge: bytes, factors: Sequence[FactorRow]) -> str:
    """Return the options by which a browser asks for one of some passkeys, or for anyone's where there are none."""
    options = generate_authentication_options(
        rp_id=place.rp_id,
        challenge=challenge,
        timeout=TICKET_S * 1000,
        allow_credentials=_described(factors) or None,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return options_to_json(options)


def read_shown(answer: str) -> AuthenticationCredential | None:
    """Return which passkey the browser says was shown, or None where it says nothing of the kind."""
    try:
        return parse_authentication_credential_json(answer)
    except (WebAuthnException, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def check_shown(place: Place, given: AuthenticationCredential, *, challenge: bytes, public_key: bytes) -> Seen | None:
    """Return the passkey as it was shown, or None where anything about it was wrong but its counter."""
    try:
        verified = verify_authentication_response(
            credential=given,
            expected_challenge=challenge,
            expected_rp_id=place.rp_id,
            expected_origin=place.origin,
            credential_public_key=public_key,
            # Who asks compares the counter, where a copy has consequences.
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, TypeError):
        return None
    return Seen(verified.new_sign_count, verified.credential_backed_up, _can_move(verified.credential_device_type))


def options_to_make(
    place: Place, user: UserRow, *, rp_name: str, challenge: bytes, factors: Sequence[FactorRow]
) -> str:
    """Return the options by which a browser makes a passkey on a device that has none of some others."""
    options = generate_registration_options(
        rp_id=place.rp_id,
        rp_name=rp_name,
        user_id=user.handle,
        user_name=user.login_name,
        user_display_name=user.display_name,
        challenge=challenge,
        timeout=TICKET_S * 1000,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=_described(factors),
        supported_pub_key_algs=_ALGORITHMS,
    )
    return options_to_json(options)


def check_made(place: Place, answer: str, *, challenge: bytes) -> Made | None:
    """Return the passkey that a browser has made, or None where anything about it was wrong."""
    try:
        made = verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=place.rp_id,
            expected_origin=place.origin,
            require_user_verification=True,
            supported_pub_key_algs=_ALGORITHMS,
        )
        said: Any = json.loads(answer)["response"].get("transports") or []
        transports = [each for each in msgspec.convert(said, list[str])[:8] if each.isascii() and len(each) <= 20]  # noqa: PLR2004
    except (WebAuthnException, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    seen = Seen(made.sign_count, made.credential_backed_up, _can_move(made.credential_device_type))
    return Made(made.credential_id, made.credential_public_key, transports, seen)


def _described(factors: Sequence[FactorRow]) -> list[PublicKeyCredentialDescriptor]:
    known = {each.value for each in AuthenticatorTransport}
    return [
        PublicKeyCredentialDescriptor(
            id=factor.credential_id,
            transports=[AuthenticatorTransport(each) for each in factor.transports or () if each in known] or None,
        )
        for factor in factors
        if factor.credential_id is not None
    ]


def _can_move(kind: CredentialDeviceType) -> bool:
    return kind is CredentialDeviceType.MULTI_DEVICE
