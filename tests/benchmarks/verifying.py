"""A server that does but the signatures of what is asked of others; prints its port and serves.

Written by hand, as little as can be: it verifies the client's assertion and the DPoP proof and signs a token, or
verifies the token and the proof; of a payment it verifies the message's signature, too, and signs as much. It remembers
nothing, knows one client, and checks neither times nor addresses.
"""

import asyncio
import base64
import json
import secrets
import socket
import sys
import time
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
import uvloop
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from joserfc import jws, jwt
from joserfc.jwk import ECKey, JWKRegistry, RSAKey

_REGISTRY = jws.JWSRegistry(strict_check_header=False, algorithms=["ES256"])
_OURS = ECKey.generate_key("P-256")
_MESSAGES = rsa.generate_private_key(65537, 2048)
_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)


class Verifying:
    """The application.

    Args:
        client: The client's public key.
        issued: The key that has signed access tokens, where they come from elsewhere.
    """

    def __init__(self, client: dict[str, Any], issued: dict[str, Any]) -> None:
        self._client = JWKRegistry.import_key(client)
        self._issued = ECKey.import_key(issued)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        proof = headers[b"dpop"].decode()
        head = proof.partition(".")[0]
        jwk = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["jwk"]
        jws.deserialize_compact(proof, ECKey.import_key(jwk), registry=_REGISTRY)
        if (signature := headers.get(b"x-jws-signature")) is not None:
            body = self._payment(headers, (await receive())["body"], signature)
        else:
            body = self._token((await receive())["body"]) if scope["method"] == "POST" else self._resource(headers)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    def _payment(self, headers: dict[bytes, bytes], body: bytes, signature: bytes) -> bytes:
        self._resource(headers)
        head, _, tail = signature.partition(b"..")
        signed = head + b"." + base64.urlsafe_b64encode(body).rstrip(b"=")
        assert isinstance(self._client, RSAKey)
        self._client.public_key.verify(
            base64.urlsafe_b64decode(tail + b"=" * (-len(tail) % 4)), signed, _PSS, hashes.SHA256()
        )
        return base64.urlsafe_b64encode(_MESSAGES.sign(signed, _PSS, hashes.SHA256()))

    def _token(self, body: bytes) -> bytes:
        form = dict(parse_qsl(body.decode()))
        said = jwt.decode(form["client_assertion"], self._client, algorithms=["ES256"]).claims
        now = int(time.time())
        claims = {
            "iss": said["aud"],
            "sub": said["sub"],
            "client_id": said["sub"],
            "iat": now,
            "exp": now + 600,
            "jti": secrets.token_urlsafe(16),
        }
        token = jwt.encode({"alg": "ES256", "typ": "at+jwt"}, claims, _OURS, algorithms=["ES256"])
        return json.dumps({"access_token": token, "token_type": "DPoP", "expires_in": 600}).encode()

    def _resource(self, headers: dict[bytes, bytes]) -> bytes:
        jwt.decode(headers[b"authorization"].decode().partition(" ")[2], self._issued, algorithms=["ES256"])
        return b'{"slug": "bench"}'


async def main() -> None:
    """Serve."""
    order = json.loads(sys.stdin.readline())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        config = uvicorn.Config(
            Verifying(order["client"], order["issued"]), log_config=None, access_log=False, http="httptools", ws="none"
        )
        await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
