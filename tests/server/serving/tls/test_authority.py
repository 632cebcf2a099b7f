"""The development authority: what it issues, for whom, and what it keeps."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.verification import PolicyBuilder, Store

from billfold_server.serving.failures import Failure
from billfold_server.serving.tls.authority import Authority, Issued

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def read(issued: Issued) -> x509.Certificate:
    """Return the certificate as it lies in the folder."""
    return x509.load_pem_x509_certificate(Path(issued.certificate).read_bytes())


class TestTheAuthority:
    def test_keeps_its_keys_for_its_owner_alone(self, tmp_path: Path):
        """Every key is closed to others, and so is the folder."""
        authority = Authority(tmp_path, now=NOW)
        for issued in (authority.ensure(), authority.ensure_server(), authority.ensure_client("acme")):
            assert stat.S_IMODE(Path(issued.key).stat().st_mode) == 0o600
        assert stat.S_IMODE(authority.folder.stat().st_mode) == 0o700

    def test_is_good_for_this_machine_and_for_nobodys_names_alone(self, tmp_path: Path):
        """Its certificate says, critically, that it vouches for loopback and test names, and it signs no further CA."""
        own = read(Authority(tmp_path, now=NOW).ensure())
        constraints = own.extensions.get_extension_for_class(x509.NameConstraints)
        assert constraints.critical
        assert {str(each.value) for each in constraints.value.permitted_subtrees or ()} == {
            *("localhost", "test", "example", "invalid"),
            *("127.0.0.0/8", "::1/128"),
        }
        assert own.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(True, 0)  # noqa: FBT003

    @pytest.mark.parametrize("name", ["bank.example.com", "10.0.0.1", "localhost.evil"])
    def test_issues_for_no_name_of_others(self, tmp_path: Path, name: str):
        """A host that is somebody's is refused, for servers and for clients, wherever the name stands."""
        authority = Authority(tmp_path, now=NOW)
        with pytest.raises(Failure) as caught:
            authority.ensure_server([name])
        assert caught.value.facts["name"] == name
        with pytest.raises(Failure) as caught:
            authority.ensure_client("acme", subject=x509.Name.from_rfc4514_string(f"CN={name},O=Acme"))
        assert caught.value.code == "certificate_foreign_name"

    @pytest.mark.parametrize("name", ["localhost", "wallet.test"])
    def test_is_believed_by_who_trusts_it(self, tmp_path: Path, name: str):
        """A verifier that trusts the authority takes the server's certificate for its names."""
        authority = Authority(tmp_path, now=NOW)
        own, server = read(authority.ensure()), read(authority.ensure_server(["localhost", "wallet.test"]))
        builder = PolicyBuilder().store(Store([own])).time(NOW)
        assert builder.build_server_verifier(x509.DNSName(name)).verify(server, []) == [server, own]

    def test_makes_nothing_anew_that_is_good(self, tmp_path: Path):
        """Asked again, it returns what is there."""
        first, second = Authority(tmp_path, now=NOW), Authority(tmp_path, now=NOW + timedelta(days=59))
        for once, again in (
            (first.ensure_server(), second.ensure_server()),
            (first.ensure_client("acme"), second.ensure_client("acme")),
            (first.ensure(), second.ensure()),
        ):
            assert once.thumbprint == again.thumbprint
            assert not again.renewed

    def test_renews_what_is_about_to_end_with_its_key(self, tmp_path: Path):
        """A month before its end a certificate is made anew; name, other names and key stay."""
        asked = {
            "subject": x509.Name.from_rfc4514_string("CN=Acme,O=Acme AG,C=DE"),
            "alternatives": [x509.UniformResourceIdentifier("https://acme.example/tpp")],
        }
        before = Authority(tmp_path, now=NOW).ensure_client("acme", **asked)  # type: ignore[arg-type]
        key = Path(before.key).read_bytes()
        after = Authority(tmp_path, now=NOW + timedelta(days=61)).ensure_client("acme")
        assert after.renewed
        assert after.thumbprint != before.thumbprint
        assert (after.subject, after.names) == (before.subject, before.names)
        assert Path(after.key).read_bytes() == key

    def test_renews_itself_so_that_what_it_issued_stays_its_own(self, tmp_path: Path):
        """The authority that follows has the same name and key, so a client's certificate from before chains to it."""
        late = NOW + timedelta(days=3630)
        before = Authority(tmp_path, now=NOW + timedelta(days=3610)).ensure_client("acme")
        own = Authority(tmp_path, now=late).ensure()
        assert own.renewed is False, "the client's call has renewed it, a month before its end"
        read(before).verify_directly_issued_by(read(own))

    def test_makes_another_certificate_for_the_same_key_when_asked_for_other_names(self, tmp_path: Path):
        """Another subject is another certificate, and asking for neither leaves it as it is."""
        authority = Authority(tmp_path, now=NOW)
        plain = authority.ensure_client("acme")
        named = authority.ensure_client("acme", subject=x509.Name.from_rfc4514_string("CN=Acme Bank"))
        assert (plain.subject, named.subject) == ("CN=acme", "CN=Acme Bank")
        assert authority.ensure_client("acme").thumbprint == named.thumbprint

    def test_makes_self_signed_certificates_whose_key_is_their_own(self, tmp_path: Path):
        """A self-signed one may name anybody, since nobody believes it by itself, and stays self-signed."""
        authority = Authority(tmp_path, now=NOW)
        issued = authority.ensure_client("acme", alternatives=[x509.DNSName("bank.com")], self_signed=True)
        own = read(issued)
        own.verify_directly_issued_by(own)
        assert issued.self_signed
        assert authority.ensure_client("acme").thumbprint == issued.thumbprint
        key = load_pem_private_key(Path(issued.key).read_bytes(), None)
        assert key.public_key() == own.public_key()

    @pytest.mark.parametrize("name", ["../ca", "", ".lock", "Acme", "a/b", "a" * 65])
    def test_keeps_clients_under_names_of_files_alone(self, tmp_path: Path, name: str):
        """A name that leads elsewhere is refused."""
        with pytest.raises(Failure) as caught:
            Authority(tmp_path, now=NOW).ensure_client(name)
        assert caught.value.code == "certificate_name"

    def test_says_which_file_is_damaged(self, tmp_path: Path):
        """A file that it can't read is named, and nothing is overwritten."""
        authority = Authority(tmp_path, now=NOW)
        key = Path(authority.ensure().key)
        key.write_text("no key")
        with pytest.raises(Failure) as caught:
            authority.ensure_server()
        assert caught.value.facts["file"] == str(key)
        assert key.read_text() == "no key"
