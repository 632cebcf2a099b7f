"""PKCE: a code is worth something only to who began (RFC 7636; FAPI 2.0, section 5.3.2.2: S256 and nothing else)."""

import re
from collections.abc import Mapping
from typing import Final

from billfold_server.identity.rules import OAuthRefusal

__all__ = ["read_challenge"]

# The SHA-256 of the verifier in base64url: 43 characters, of which the last holds four bits.
_S256: Final = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")


def read_challenge(parameters: Mapping[str, object]) -> str:
    """Return the challenge of an authorization request.

    A request without ``code_challenge_method`` means ``plain`` (section 4.3), which shows the verifier to everybody who
    sees the request.

    Raises:
        OAuthRefusal: ``invalid_request``: there is none, or not by S256 (section 4.4.1).
    """
    challenge, method = parameters.get("code_challenge"), parameters.get("code_challenge_method")
    if challenge is None:
        raise OAuthRefusal("invalid_request", "code_challenge is required")
    if method != "S256":
        raise OAuthRefusal("invalid_request", "code_challenge_method must be S256")
    if not isinstance(challenge, str) or not _S256.fullmatch(challenge):
        raise OAuthRefusal("invalid_request", "code_challenge isn't of the form that S256 makes")
    return challenge
