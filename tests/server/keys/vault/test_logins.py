"""How a server logs in to Vault, on a real OpenBao (keys/backends/vault/logins.py)."""

import json
from pathlib import Path
from typing import Any

import hvac
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from billfold_server.keys.backends.vault.policies import policies
from billfold_server.keys.rules import SealBroken
from tests.openbao import OpenBao
from tests.server.certificates import authority, issue
from tests.server.keys.vault.kit import a_key, answering, approle, cause, opened, recovers, refused, set_up, works


def rewritten(settings: dict[str, Any], content: str) -> str:
    """Put something else into the file of a secret id, and return what was there."""
    file = Path(settings["vault_secret_id_file"])
    former = file.read_text()
    file.write_text(content)
    return former


class TestAnAppRole:
    async def test_logs_in_with_the_secret_id_that_lies_in_its_file(self, openbao: OpenBao, tmp_path: Path):
        """Another one in the file is taken at the next login, without a restart."""
        settings = approle(openbao, tmp_path)
        right = rewritten(settings, "")
        async with opened(openbao, tmp_path, **settings) as backend:
            assert await cause(backend) == "credentials_missing"
            for wrong, expected in (("ä", "credentials_missing"), ("not one", "login_refused")):
                rewritten(settings, wrong)
                assert await cause(backend) == expected
            rewritten(settings, right)
            await recovers(backend)

    async def test_unwraps_its_secret_id_once_for_all_processes(self, openbao: OpenBao, tmp_path: Path):
        """The second one, and the next start, find it in the data folder, where it opens by the keyring alone."""
        settings = approle(openbao, tmp_path)
        wrapping = wrapped_secret_id(openbao, settings)
        rewritten(settings, wrapping)
        for _ in range(2):
            async with opened(openbao, tmp_path, vault_secret_id_wrapped=True, **settings) as backend:
                await works(backend)
        kept = tmp_path / "data" / "vault" / "secret-id-data"
        assert kept.stat().st_mode & 0o777 == 0o600
        assert wrapping.encode() not in kept.read_bytes()
        rewritten(settings, wrapped_secret_id(openbao, settings))
        async with opened(openbao, tmp_path, vault_secret_id_wrapped=True, **settings) as backend:
            await works(backend)

    async def test_takes_no_token_that_wraps_something_else(self, openbao: OpenBao, tmp_path: Path):
        """What somebody else has wrapped in the place of a secret id isn't sent anywhere, and is refused."""
        settings = approle(openbao, tmp_path)
        for wrapping in (openbao.root.sys.wrap({"secret_id": "x"})["wrap_info"]["token"], "hvs.unknown"):
            rewritten(settings, wrapping)
            async with opened(openbao, tmp_path, vault_secret_id_wrapped=True, **settings) as backend:
                assert await cause(backend) == "login_refused"

    async def test_may_be_in_a_namespace(self, openbao: OpenBao, tmp_path: Path):
        """Login and keys are in it, and the root namespace knows nothing of them."""
        openbao.root.adapter.request("post", "/v1/sys/namespaces/bank", json={})
        inside = OpenBao(openbao.url, openbao.tls_url, openbao.root.token, openbao.folder)
        inside.root = hvac.Client(openbao.url, token=openbao.root.token, namespace="bank")
        inside.root.sys.enable_secrets_engine("transit", path="keys/of/billfold")
        for name, policy in policies("keys/of/billfold", "live").items():
            inside.root.sys.create_or_update_policy(name, policy)
        role_id, secret_id = inside.make_approle("billfold", ["live-worker"])
        (tmp_path / "secret").write_text(secret_id)
        settings: dict[str, Any] = {
            "vault_login": "approle",
            "vault_role_id": role_id,
            "vault_secret_id_file": str(tmp_path / "secret"),
        }
        settings |= {"vault_mount": "keys/of/billfold/", "vault_deployment": "live"}
        async with opened(openbao, tmp_path, vault_namespace="bank/", **settings) as backend:
            await works(backend)
        async with opened(openbao, tmp_path, **settings) as backend:
            assert await cause(backend) == "login_refused"


def wrapped_secret_id(openbao: OpenBao, settings: dict[str, Any]) -> str:
    """Return a token in which a new secret id of a role is wrapped."""
    approle = openbao.root.auth.approle
    roles = approle.list_roles()["data"]["keys"]
    (role,) = [each for each in roles if approle.read_role_id(each)["data"]["role_id"] == settings["vault_role_id"]]
    return str(approle.generate_secret_id(role, wrap_ttl="60s")["wrap_info"]["token"])


class TestAServiceAccountOfKubernetes:
    async def test_logs_in_with_the_token_that_lies_in_its_file_now(self, openbao: OpenBao, tmp_path: Path):
        """Vault asks the cluster's API about the token, which is a stand-in here, as only a cluster has a real one."""
        set_up(openbao)
        openbao.enable("kubernetes")
        user = {"username": "system:serviceaccount:bank:billfold", "uid": "u"}
        review = {"authenticated": True, "user": user, "audiences": ["vault"]}
        with answering() as cluster:
            cluster.answer = (201, {"Content-Type": "application/json"}, json.dumps({"status": review}).encode())
            openbao.root.auth.kubernetes.configure(
                kubernetes_host=cluster.url,
                token_reviewer_jwt="r",
                disable_local_ca_jwt=True,
                kubernetes_ca_cert=authority().pem().decode(),
            )
            openbao.root.adapter.request(
                "post",
                "/v1/auth/kubernetes/role/billfold",
                json={
                    "bound_service_account_names": "billfold",
                    "bound_service_account_namespaces": "bank",
                    "policies": "billfold-worker",
                    "audience": "vault",
                },
            )
            file = tmp_path / "token"
            settings: dict[str, Any] = {
                "vault_login": "kubernetes",
                "vault_role": "billfold",
                "vault_jwt_file": str(file),
            }
            async with opened(openbao, tmp_path, **settings) as backend:
                assert await cause(backend) == "credentials_missing"
                file.write_text(service_account_token())
                await works(backend)


def service_account_token() -> str:
    """Return a token of the form that Kubernetes gives a service account."""
    account = {"name": "billfold", "uid": "u"}
    claims = {
        "iss": "https://kubernetes.default.svc",
        "aud": ["vault"],
        "sub": "system:serviceaccount:bank:billfold",
        "exp": 4_000_000_000,
        "iat": 1_700_000_000,
        "nbf": 1_700_000_000,
        "kubernetes.io": {"namespace": "bank", "serviceaccount": account},
    }
    return jwt.encode({"alg": "ES256"}, claims, ECKey.generate_key("P-256"), algorithms=["ES256"])


@pytest.fixture
def certified(openbao: OpenBao, tmp_path: Path) -> dict[str, Any]:
    """Settings that show a certificate by which Vault lets workers in."""
    set_up(openbao)
    openbao.enable("cert")
    bank = authority()
    openbao.root.auth.cert.create_ca_certificate_role(
        "billfold", certificate=bank.pem().decode(), token_policies=["billfold-worker"]
    )
    certificate, key = issue("billfold", bank).write(tmp_path)
    return {
        "vault_login": "cert",
        "vault_role": "billfold",
        "vault_client_certificate": certificate,
        "vault_client_key": key,
        "address": openbao.tls_url,
        "vault_ca_file": openbao.ca_file,
    }


class TestACertificate:
    async def test_logs_in_over_tls(self, openbao: OpenBao, tmp_path: Path, certified: dict[str, Any]):
        """Vault's own certificate is checked against the authority that the settings name."""
        async with opened(openbao, tmp_path, **certified) as backend:
            await works(backend)

    async def test_is_shown_to_nobody_whom_we_do_not_trust(
        self, openbao: OpenBao, tmp_path: Path, certified: dict[str, Any]
    ):
        """Vault's certificate comes of another authority, or of none that the world trusts."""
        other = authority("Another").write(tmp_path, "other")[0]
        for ca_file in (other, None):
            async with opened(openbao, tmp_path, **{**certified, "vault_ca_file": ca_file}) as backend:
                assert await cause(backend) == "untrusted"

    async def test_of_another_authority_lets_nobody_in(
        self, openbao: OpenBao, tmp_path: Path, certified: dict[str, Any]
    ):
        """Vault refuses it."""
        certificate, key = issue("billfold", authority("Another")).write(tmp_path, "foreign")
        foreign = {**certified, "vault_client_certificate": certificate, "vault_client_key": key}
        async with opened(openbao, tmp_path, **foreign) as backend:
            assert await cause(backend) == "login_refused"


class TestAToken:
    async def test_is_read_from_its_file_at_each_login(self, openbao: OpenBao, tmp_path: Path):
        """Once Vault has revoked it, another one in the file is taken. It's never revoked by us."""
        set_up(openbao)
        file = tmp_path / "token"
        first = openbao.token_for("billfold-worker")
        file.write_text(first)
        settings: dict[str, Any] = {"vault_login": "token", "vault_token_file": str(file)}
        async with opened(openbao, tmp_path, **settings) as backend:
            await works(backend)
        async with opened(openbao, tmp_path, **settings) as backend:
            await works(backend)
            openbao.root.auth.token.revoke(first)
            backend._session._held.since = 0  # type: ignore[union-attr]
            assert await cause(backend) == "login_refused"
            file.write_text(openbao.token_for("billfold-worker"))
            await recovers(backend)

    async def test_is_taken_from_neither_the_environment_nor_the_home_folder(
        self, openbao: OpenBao, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        """What hvac would find there, and proxies, are somebody else's."""
        approles = approle(openbao, tmp_path)
        monkeypatch.setenv("VAULT_TOKEN", openbao.root.token)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        (tmp_path / ".vault-token").write_text(openbao.root.token)
        settings: dict[str, Any] = {"vault_login": "token", "vault_token_file": str(tmp_path / "none")}
        async with opened(openbao, tmp_path, **settings) as backend:
            assert await cause(backend) == "credentials_missing"
        async with opened(openbao, tmp_path, **approles) as backend:
            await works(backend)


class TestCredentialsOfTheirOwn:
    async def test_open_cards_for_the_decryptor_alone(self, openbao: OpenBao, tmp_path: Path):
        """A worker's role neither makes, wraps by, nor opens by a key of cards; the decryptor's does."""
        theirs = approle(openbao, tmp_path, "billfold-decryptor")
        settings = approle(openbao, tmp_path) | {
            name.replace("vault_", "vault_cards_"): value for name, value in theirs.items() if name != "vault_login"
        }
        cards = a_key("cards")
        async with (
            opened(openbao, tmp_path, domain="cards", **settings) as decryptor,
            opened(openbao, tmp_path, **settings) as worker,
        ):
            await decryptor.ensure(cards)
            wrapped = await decryptor.wrap(cards, b"p" * 32, b"")
            assert await decryptor.unwrap(cards, wrapped, b"") == b"p" * 32
            for call in (
                worker.ensure(a_key("cards")),
                worker.wrap(cards, b"p", b""),
                worker.unwrap(cards, wrapped, b""),
                worker.rewrap(cards, [(wrapped, b"")]),
                worker.versions(cards),
            ):
                assert await refused(call) == "forbidden"
            # It has no business with them, so this says nothing of its own keys.
            assert (await worker.health()).ok
            await works(worker)
            assert await refused(decryptor.ensure(a_key())) == "forbidden"

    async def test_are_missing_where_a_process_has_none_for_a_domain(self, openbao: OpenBao, tmp_path: Path):
        """Workers without the decryptor's credentials say so, and need no others for their own."""
        settings = approle(openbao, tmp_path)
        own: dict[str, Any] = {name: None for name in settings if name != "vault_login"}
        cards = {name.replace("vault_", "vault_cards_"): settings[name] for name in own}
        async with opened(openbao, tmp_path, vault_login="approle", **own, **cards) as backend:
            assert await cause(backend) == "credentials_missing"


class TestAWorkersPolicy:
    async def test_lets_it_rotate_and_let_go_of_versions_and_not_destroy(self, openbao: OpenBao, tmp_path: Path):
        """Keeping keys is everyday work; deleting one, or making it exportable, is none of theirs."""
        async with opened(openbao, tmp_path) as worker:
            key = a_key()
            await worker.ensure(key)
            old = await worker.wrap(key, b"p" * 32, b"")
            assert await worker.rotate(key) == 2
            (new,) = await worker.rewrap(key, [(old, b"")])
            await worker.retire(key, 2)
            assert (await worker.versions(key)).least == 2
            with pytest.raises(SealBroken):
                await worker.unwrap(key, old, b"")
            assert await worker.unwrap(key, new, b"") == b"p" * 32
            assert await refused(worker.destroy(key)) == "forbidden"
            token = worker._session._held.granted.token  # type: ignore[union-attr]
            path = f"/v1/transit/keys/billfold-data-{key.tenant_id}"
            client = hvac.Client(openbao.url, token=token)
            for config in ({"exportable": True}, {"deletion_allowed": True}, {"allow_plaintext_backup": True}):
                with pytest.raises(hvac.exceptions.Forbidden):
                    client.adapter.request("post", f"{path}/config", json=config)
