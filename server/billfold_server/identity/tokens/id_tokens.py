"""ID tokens: who has signed in, when and how strongly, told to one client (OpenID Connect Core, section 2).

An ``s_hash`` says to which request they are the answer (FAPI 1.0 Advanced, section 5.1.1). Codes come in a signed
response besides (JARM), which protects ``state`` by itself.
"""

import base64
import hashlib
from typing import Any

from billfold import ids
from billfold.ids import Prefix
from billfold_server.identity.clients.rows import Client
from billfold_server.identity.grants.service import Grant
from billfold_server.identity.profiles import SigningAlgorithm
from billfold_server.identity.realms import Realm

__all__ = ["LIFE_S", "TYPE", "claims_of", "half_hash"]

TYPE = "JWT"
LIFE_S = 300
"""A client reads it once, at once."""


def half_hash(text: str, algorithm: SigningAlgorithm) -> str:
    """Return the left half of a text's hash, by the hash of the signature's algorithm (section 3.1.3.6).

    For EdDSA with Ed25519 that is SHA-512, which it uses itself.
    """
    digest = hashlib.sha512(text.encode()) if algorithm == "EdDSA" else hashlib.sha256(text.encode())
    half = digest.digest()[: digest.digest_size // 2]
    return base64.urlsafe_b64encode(half).rstrip(b"=").decode()


def claims_of(
    realm: Realm,
    client: Client,
    grant: Grant,
    *,
    access_token: str,
    algorithm: SigningAlgorithm,
    nonce: str | None,
    state_hash: str | None,
    now_s: int,
) -> dict[str, Any]:
    """Return what an ID token says.

    Args:
        realm: Who issues it.
        client: To whom it is told.
        grant: What the user has allowed, and how it had signed in.
        access_token: The token that comes beside it.
        algorithm: By which it will be signed.
        nonce: Of the authorization request; None at a refresh (section 12.2).
        state_hash: Half of the hash of its ``state``; None where there was none.
        now_s: Seconds since the Unix epoch.
    """
    said = {
        "iss": realm.issuer,
        "sub": ids.encode(Prefix.USER, grant.user_id),
        "aud": client.client_id,
        "exp": now_s + LIFE_S,
        "iat": now_s,
        "auth_time": int(grant.auth_time.timestamp()),
        "acr": grant.acr,
        "amr": grant.amr or None,
        "nonce": nonce,
        "at_hash": half_hash(access_token, algorithm),
        # Which consent it was that the customer has allowed, in the words of the UK's profile.
        "openbanking_intent_id": None if grant.consent_id is None else ids.encode(Prefix.CONSENT, grant.consent_id),
        # The app sees that the answer is to the request that it has sent (FAPI 1.0 Advanced, section 5.1.1).
        "s_hash": state_hash,
    }
    return {name: value for name, value in said.items() if value is not None}
