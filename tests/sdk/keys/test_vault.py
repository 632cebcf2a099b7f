"""Keys that never leave Vault (billfold.keys.VaultTransitKey), against a real OpenBao."""

import base64
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import hvac
import pytest

from billfold import errors
from billfold.keys import KeyForbidden, KeyProblem, KeyUnavailable, KeyUnusable, Signer, VaultTransitKey
from tests.openbao import OpenBao
from tests.pace import quickest_call
from tests.ports import held
from tests.sdk.keys.checking import verifies

TYPES = {"ecdsa-p256": "ES256", "rsa-2048": "PS256", "rsa-3072": "PS256", "ed25519": "EdDSA"}
MAY_SIGN = 'path "transit/sign/*" { capabilities = ["update"] } path "transit/keys/*" { capabilities = ["read"] }'


@pytest.fixture(scope="module")
def transit(openbao: OpenBao) -> dict[str, str]:
    """One key of each type, by its type."""
    return {kind: openbao.make_key(kind) for kind in TYPES}


def status_of(openbao: OpenBao, token: str) -> int:
    """Tell how a token is answered."""
    client = hvac.Client(openbao.url, token=token)
    return int(client.adapter.request("get", "/v1/auth/token/lookup-self", raise_exception=False).status_code)


class TestAKeyInVault:
    @pytest.mark.parametrize("kind", TYPES)
    def test_signs_what_its_public_half_verifies(self, openbao: OpenBao, transit: dict[str, str], kind: str):
        """Each type by its one algorithm, with no more than the documented policy."""
        key = VaultTransitKey(openbao.client_that_may(MAY_SIGN), transit[kind])
        assert isinstance(key, Signer)
        assert (key.algorithm, key.blocks, key.version) == (TYPES[kind], True, 1)
        for data in (b"", b"x", os.urandom(3000)):
            assert verifies(key.public_jwk, data, key.sign(data))
            assert not verifies(key.public_jwk, data + b"x", key.sign(data))

    def test_stays_with_its_version(self, openbao: OpenBao):
        """After a rotation the old object signs as before, and a new one has another name."""
        name = openbao.make_key("ecdsa-p256")
        old = VaultTransitKey(openbao.root, name)
        openbao.root.secrets.transit.rotate_key(name)
        new = VaultTransitKey(openbao.root, name)
        assert (old.version, new.version) == (1, 2)
        assert old.kid != new.kid
        assert verifies(old.public_jwk, b"x", old.sign(b"x"))
        assert verifies(new.public_jwk, b"x", new.sign(b"x"))
        assert VaultTransitKey(openbao.root, name, version=1).kid == old.kid

    def test_may_be_mounted_elsewhere(self, openbao: OpenBao):
        """The engine's mount point may have parts."""
        openbao.root.sys.enable_secrets_engine("transit", path="teams/pay")
        openbao.root.secrets.transit.create_key("k", key_type="ed25519", mount_point="teams/pay")
        key = VaultTransitKey(openbao.root, "k", mount_point="teams/pay")
        assert verifies(key.public_jwk, b"x", key.sign(b"x"))

    def test_shows_neither_address_nor_token(self, openbao: OpenBao, transit: dict[str, str]):
        """What is printed names the key and its public half."""
        key = VaultTransitKey(openbao.root, transit["ed25519"])
        assert str(openbao.root.token) not in repr(key)
        assert openbao.url not in repr(key)
        assert key.jwks() == {"keys": [key.public_jwk]}

    def test_is_shared_by_threads(self, openbao: OpenBao, transit: dict[str, str]):
        """Eight threads sign at once, each its own message."""
        key = VaultTransitKey(openbao.root, transit["ecdsa-p256"])
        messages = [f"message {number}".encode() for number in range(40)]
        with ThreadPoolExecutor(8) as threads:
            signatures = list(threads.map(key.sign, messages))
        assert all(verifies(key.public_jwk, *each) for each in zip(messages, signatures, strict=True))

    def test_survives_a_fork(self, openbao: OpenBao, transit: dict[str, str]):
        """In the child, neither the lock nor a connection is the parent's."""
        key = VaultTransitKey(openbao.root, transit["ed25519"])
        key.sign(b"x")
        pool = key._client.adapter.session.get_adapter(openbao.url).poolmanager
        lock = key._lock
        assert len(pool.pools) == 1
        key.after_fork()
        assert len(pool.pools) == 0
        assert key._lock is not lock
        assert verifies(key.public_jwk, b"y", key.sign(b"y"))


class TestLoggingIn:
    def test_again_follows_a_token_that_has_ended(self, openbao: OpenBao, transit: dict[str, str]):
        """By AppRole, once for all threads that were refused."""
        openbao.root.sys.create_or_update_policy("may-sign", MAY_SIGN)
        role_id, secret_id = openbao.make_approle("partner", ["may-sign"])
        logins: list[int] = []

        def login(client: Any) -> None:
            logins.append(threading.get_ident())
            client.auth.approle.login(role_id, secret_id)

        client = hvac.Client(openbao.url)
        login(client)
        key = VaultTransitKey(client, transit["ecdsa-p256"], login=login)
        openbao.root.auth.token.revoke(client.token)
        with ThreadPoolExecutor(6) as threads:
            signatures = list(threads.map(key.sign, [b"x"] * 12))
        assert all(verifies(key.public_jwk, b"x", each) for each in signatures)
        assert len(logins) == 2

    def test_that_fails_is_told_without_the_secret(self, openbao: OpenBao, transit: dict[str, str]):
        """The error is typed, and neither it nor what caused it holds what was sent."""

        def login(client: Any) -> None:
            client.auth.userpass.login("partner", "s-e-c-r-e-t")

        client = hvac.Client(openbao.url, token="gone")
        with pytest.raises(KeyForbidden) as caught:
            VaultTransitKey(client, transit["ed25519"], login=login)
        assert "s-e-c-r-e-t" not in repr(caught.value)
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)

    def test_is_not_tried_where_there_is_no_way(self, openbao: OpenBao, transit: dict[str, str]):
        """Without a login a refused token is the caller's to replace."""
        with pytest.raises(KeyForbidden):
            VaultTransitKey(hvac.Client(openbao.url, token="gone"), transit["ed25519"])
        assert status_of(openbao, "gone") == 403


class TestARefusal:
    def test_by_policy_is_forbidden(self, openbao: OpenBao, transit: dict[str, str]):
        """Who may read a key but not sign with it is told so."""
        client = openbao.client_that_may('path "transit/keys/*" { capabilities = ["read"] }')
        key = VaultTransitKey(client, transit["ed25519"])
        with pytest.raises(KeyForbidden) as caught:
            key.sign(b"x")
        assert caught.value.code == "key_forbidden"

    def test_of_a_key_that_is_not_there_is_final(self, openbao: OpenBao):
        """A missing key isn't made, and the error says that it's no use to come again."""
        with pytest.raises(KeyUnusable):
            VaultTransitKey(openbao.root, "nowhere")
        with pytest.raises(KeyUnusable):
            VaultTransitKey(openbao.root, "nowhere")

    @pytest.mark.parametrize("kind", ["aes256-gcm96", "ecdsa-p384", "hmac"])
    def test_of_another_type_is_final(self, openbao: OpenBao, kind: str):
        """Keys that sign nothing, or by other algorithms."""
        options = {"key_size": 32} if kind == "hmac" else {}
        name = f"other-{kind}"
        openbao.root.adapter.request("post", f"/v1/transit/keys/{name}", json={"type": kind, **options})
        with pytest.raises(KeyUnusable):
            VaultTransitKey(openbao.root, name)

    def test_of_a_version_that_is_not_there_is_final(self, openbao: OpenBao, transit: dict[str, str]):
        """Neither one that isn't made yet, nor one that may no longer sign."""
        with pytest.raises(KeyUnusable):
            VaultTransitKey(openbao.root, transit["ed25519"], version=9)
        name = openbao.make_key("ed25519")
        key = VaultTransitKey(openbao.root, name)
        openbao.root.secrets.transit.rotate_key(name)
        openbao.root.secrets.transit.update_key_configuration(name, min_encryption_version=2)
        with pytest.raises(KeyUnusable):
            key.sign(b"x")

    @pytest.mark.parametrize("name", ["", "../sys/seal", "a/b", "a?b", "ä"])
    def test_of_a_name_that_is_no_part_of_an_address_comes_first(self, openbao: OpenBao, name: str):
        """A name can't lead to another address of Vault."""
        with pytest.raises(ValueError, match="name"):
            VaultTransitKey(openbao.root, name)


class TestATrouble:
    def test_with_the_connection_is_passing(self):
        """Nobody listens there: the error is typed, and holds no address."""
        with held(1) as (port,), pytest.raises(KeyUnavailable) as caught:
            VaultTransitKey(hvac.Client(f"http://127.0.0.1:{port}", token="t"), "k")
        assert str(port) not in str(caught.value)
        assert isinstance(caught.value, KeyProblem | errors.BillfoldError)

    def test_with_the_answer_ends_in_time(self):
        """A Vault that is silent is given up after the time that it has, and not after hvac's thirty seconds."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            client = hvac.Client(f"http://127.0.0.1:{silent.getsockname()[1]}", token="t", timeout=30)

            def ask() -> None:
                with pytest.raises(KeyUnavailable):
                    VaultTransitKey(client, "k", timeout_s=0.2)

            assert quickest_call(ask, below_s=5) < 5

    @pytest.mark.parametrize(
        "signature",
        [
            None,
            "",
            "vault:v2:" + base64.b64encode(bytes(64)).decode(),
            "vault:v1:" + base64.b64encode(bytes(63)).decode(),
            "vault:v1:!",
        ],
    )
    def test_with_the_signature_is_noticed(self, openbao: OpenBao, transit: dict[str, str], signature: str | None):
        """An answer that is no signature by this version isn't passed on."""
        key = VaultTransitKey(openbao.root, transit["ed25519"])
        with pytest.raises(KeyUnavailable):
            key._read_signature(signature)
