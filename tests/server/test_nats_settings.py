"""Settings of NATS: complete, or refused in a sentence."""

from pathlib import Path

import pytest

from billfold_server.settings import load_settings
from tests.server.test_settings import SAFE, mistakes_in

NATS = {"BILLFOLD_NATS_URL": "tls://one.internal:4222, tls://two.internal"}


class TestTheSettingsOfNats:
    def test_may_be_left_out(self) -> None:
        """Then nothing is published."""
        assert load_settings({}).nats_servers == []

    def test_name_one_server_or_several(self, tmp_path: Path) -> None:
        """A user with a password, or a certificate, or both may come with them; production takes TLS."""
        file = tmp_path / "file"
        file.touch()
        more = {
            "USER": "billfold",
            "PASSWORD_FILE": str(file),
            "CLIENT_CERTIFICATE": str(file),
            "CLIENT_KEY": str(file),
        }
        settings = load_settings({**SAFE, **NATS, **{f"BILLFOLD_NATS_{name}": each for name, each in more.items()}})
        assert settings.nats_servers == ["tls://one.internal:4222", "tls://two.internal"]

    @pytest.mark.parametrize(
        ("environ", "keys"),
        [
            ({"BILLFOLD_NATS_USER": "x", "BILLFOLD_NATS_CA_FILE": "y"}, {"nats_user", "nats_ca_file"}),
            ({"BILLFOLD_NATS_URL": "nats.internal:4222"}, {"nats_url"}),
            ({"BILLFOLD_NATS_URL": "tls://one.internal,"}, {"nats_url"}),
            ({"BILLFOLD_NATS_URL": "tls://me:secret@nats.internal"}, {"nats_url"}),
            ({"BILLFOLD_NATS_URL": "tls://nats.internal:99999"}, {"nats_url"}),
            ({**NATS, "BILLFOLD_NATS_STREAM": "a.b"}, {"nats_stream"}),
            ({**NATS, "BILLFOLD_NATS_SUBJECT": "a.>"}, {"nats_subject"}),
            ({**NATS, "BILLFOLD_NATS_USER": "x"}, {"nats_user"}),
            ({**NATS, "BILLFOLD_NATS_CA_FILE": "/nowhere"}, {"nats_ca_file"}),
        ],
    )
    def test_are_refused_where_they_are_wrong(self, environ: dict[str, str], keys: set[str]) -> None:
        """Each mistake is told by the name of its setting."""
        assert mistakes_in(environ) == keys

    def test_are_refused_in_production_without_tls(self) -> None:
        """Events go over no network in clear text."""
        assert mistakes_in({**SAFE, "BILLFOLD_NATS_URL": "nats://nats.internal:4222"}) == {"nats_url"}
