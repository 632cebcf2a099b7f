"""What a server says of itself to people once it serves."""

from typing import Any

from billfold_server.serving.welcome import Welcome

FACTS: dict[str, Any] = {
    "url": "https://127.0.0.1:8000",
    "base_url": "https://127.0.0.1:8000/t/sandbox",
    "pid": 1,
    "workers": 1,
    "data_dir": "/tmp/x",  # noqa: S108 - Nobody opens it.
    "postgres": "18.0",
    "embedded": True,
    "started_in_s": 1.0,
}


class TestAWelcome:
    def test_says_that_the_second_port_is_no_base_url(self):
        """Who shows a certificate keeps the base URL, which is the issuer's name; the line of the port says so."""
        said = Welcome(**FACTS, mtls_url="https://127.0.0.1:8443").text()
        line = next(line for line in said.splitlines() if "mTLS" in line)
        assert "https://127.0.0.1:8443/t/sandbox (clients of the SDK keep the Base URL)" in line

    def test_has_no_line_of_a_port_that_is_not_there(self):
        """Without certificates there is one port."""
        assert "mTLS" not in Welcome(**FACTS).text()
