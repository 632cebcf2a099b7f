"""The development directory: what lies in its folder, and what it says of its software."""

import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc.jwk import ECKey

from billfold_server.identity import jose
from billfold_server.serving.directory.directory import ISSUER, Directory
from billfold_server.serving.directory.setting_up import believing
from billfold_server.serving.failures import Exit, Failure
from billfold_server.tenancy.manifest import Registration, SoftwarePublisher
from tests.tenants import manifest

OF_ANOTHER_KIND = ECKey.generate_key("P-256").as_pem(private=True).decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a directory."""
    made = tmp_path_factory.mktemp("directory")
    Directory(made).ensure()
    return made


def claims(folder: Path, text: str) -> dict[str, Any]:
    """Return what a statement says, verified by what the directory publishes."""
    (jwk,) = Directory(folder).publisher().jwks["keys"]
    return jose.verify(jose.read(text), jose.import_key(jwk), alg="ES256", types={"jwt"})


class TestTheFolder:
    def test_is_its_owners_alone(self, folder: Path):
        """Keys, statements and what describes them can be read by nobody else."""
        files = [path for path in Directory(folder).folder.rglob("*") if path.is_file()]
        assert {path.name for path in files} >= {"directory.key", "signing.key", "software_statement.jwt"}
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        assert stat.S_IMODE(Directory(folder).folder.stat().st_mode) == 0o700

    def test_keeps_its_keys(self, folder: Path):
        """Software that has registered goes on working after the next start."""
        before = [each.kid for each in Directory(folder).ensure()]
        publisher = Directory(folder).publisher()
        assert [each.kid for each in Directory(folder).ensure()] == before
        assert Directory(folder).publisher() == publisher

    @pytest.mark.parametrize("other", ["not a key", OF_ANOTHER_KIND], ids=["no key", "another kind"])
    def test_that_is_damaged_is_told(self, tmp_path: Path, other: str):
        """A file with something else in it is named, and left as it is."""
        (listed, *_) = Directory(tmp_path).ensure()
        Path(listed.signing_key).write_text(other)
        with pytest.raises(Failure) as caught:
            Directory(tmp_path).ensure()
        assert (caught.value.code, caught.value.facts["file"]) == ("directory_damaged", listed.signing_key)


class TestSoftware:
    def test_has_every_role_once_alone_and_all_together(self, folder: Path):
        """There is somebody to try each right with, and to try what it doesn't hold."""
        roles = {each.name: each.roles for each in Directory(folder).ensure()}
        assert roles == {
            "aisp": ["AISP"],
            "pisp": ["PISP"],
            "cbpii": ["CBPII"],
            "all": ["AISP", "PISP", "CBPII"],
        }

    def test_has_a_key_and_a_certificate_that_fit_what_is_said_of_them(self, folder: Path):
        """The statement's key is the file's, and the certificate bears the statement's name."""
        listed = Directory(folder).find("billfold-test-pisp")
        said = claims(folder, Path(listed.statement).read_text())
        key = load_pem_private_key(Path(listed.signing_key).read_bytes(), None)
        assert key.public_key() == jose.import_key(listed.jwks["keys"][0]).public_key
        certificate = x509.load_pem_x509_certificate(Path(listed.transport_certificate).read_bytes())
        assert certificate.subject.rfc4514_string() == said["tls_client_auth_subject_dn"]
        assert (said["iss"], said["software_roles"], said["jwks"]) == (ISSUER, ["PISP"], listed.jwks)

    def test_that_nobody_knows_is_refused(self, folder: Path):
        """Its name is a mistake in usage."""
        with pytest.raises(Failure) as caught:
            Directory(folder).find("nobody")
        assert caught.value.exit_code == Exit.USAGE

    def test_is_said_to_have_no_role_more_than_it_has(self, folder: Path):
        """A statement can be made for fewer roles and for other addresses."""
        text = Directory(folder).statement("aisp", roles=["PISP"], redirect_uris=["http://127.0.0.1:1/back"])
        said = claims(folder, text)
        assert said["software_roles"] == []
        assert said["software_redirect_uris"][-1] == "http://127.0.0.1:1/back"


class TestASandbox:
    def test_believes_the_directory(self, folder: Path):
        """Where nobody could register, who has a statement may, for open banking's scopes."""
        made = believing(manifest("box"), Directory(folder).publisher())
        assert made.registration == Registration(
            mode="statement",
            publishers=[Directory(folder).publisher()],
            scopes=["accounts", "payments", "fundsconfirmations"],
        )

    def test_keeps_what_else_it_says_of_registration(self, folder: Path):
        """Another directory and further scopes stay; the same directory's former key goes."""
        publisher = Directory(folder).publisher()
        other, former = (SoftwarePublisher(issuer=issuer, jwks={"keys": [{}]}) for issuer in ("other", ISSUER))
        before = manifest(
            "box",
            registration={
                "mode": "open",
                "scopes": ["tenant:read", "payments"],
                "publishers": [{"issuer": each.issuer, "jwks": each.jwks} for each in (former, other)],
            },
        )
        made = believing(before, publisher).registration
        assert (made.mode, made.publishers) == ("open", [other, publisher])
        assert made.scopes == ["tenant:read", "payments", "accounts", "fundsconfirmations"]
        assert believing(believing(before, publisher), publisher) == believing(before, publisher)
