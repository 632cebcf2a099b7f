"""What is said of a database that can't be reached, and whether trying again may help."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509

from billfold_server.serving.database import look
from billfold_server.serving.failures import Exit, Failure
from billfold_server.settings import Secret
from tests.server.certificates import SERVER, authority, issue

NOWHERE = "postgresql://app:q7Jd02kfh3@127.0.0.1:9/billfold"


async def failure(url: str) -> Failure:
    """Return why a database can't be looked at, having seen that no secret is told."""
    with pytest.raises(Failure) as caught:
        await look(Secret(url), "BILLFOLD_KEY_STORE_URL")
    assert "BILLFOLD_KEY_STORE_URL" in caught.value.sentence
    assert "q7Jd02kfh3" not in caught.value.sentence
    assert caught.value.sentence.endswith(".")
    assert "\n" not in caught.value.sentence
    return caught.value


@asynccontextmanager
async def encrypting(folder: Path) -> AsyncIterator[int]:
    """Say yes to PostgreSQL's request for TLS, show a certificate for somebody else, and yield the port."""
    certificate, key = issue("db", purposes=[SERVER], names=[x509.DNSName("db.internal")]).write(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(b"S")
        try:
            await writer.start_tls(context)
        except (OSError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


class TestADatabase:
    async def test_that_is_away_may_come_back(self) -> None:
        """Nobody listens: whoever starts the server may try again."""
        with socket.socket() as nobody_listens:
            nobody_listens.bind(("127.0.0.1", 0))
            port = nobody_listens.getsockname()[1]
            found = await failure(f"postgresql://app:q7Jd02kfh3@127.0.0.1:{port}/billfold")
        assert (found.code, found.exit_code) == ("database_unreachable", Exit.UNAVAILABLE)
        assert found.facts == {"where": f"127.0.0.1:{port}"}

    async def test_of_several_hosts_is_told_with_each(self) -> None:
        """An address may have several, with a port each."""
        found = await failure("postgresql://app:q7Jd02kfh3@[::1]:9,127.0.0.1:9/billfold")
        assert (found.code, found.facts) == ("database_unreachable", {"where": "::1:9, 127.0.0.1:9"})


class TestAnAddress:
    async def test_that_names_no_authority_is_told_how(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """To verify a certificate needs its authority, and nothing but a person brings that."""
        monkeypatch.setenv("HOME", str(tmp_path))
        found = await failure(f"{NOWHERE}?sslmode=verify-full")
        assert (found.code, found.exit_code) == ("database_url_unusable", Exit.SETTINGS)
        assert "sslrootcert=" in found.sentence

    @pytest.mark.parametrize("name", ["sslrootcert", "sslcrl", "sslcert"])
    async def test_that_names_a_file_that_cant_be_used_is_told_which(self, tmp_path: Path, name: str) -> None:
        """One that isn't there and one that isn't PEM are no matter of the database."""
        no_pem = tmp_path / "no.pem"
        no_pem.write_text("authority")
        for path in ("/nope.pem", str(no_pem), str(tmp_path)):
            found = await failure(f"{NOWHERE}?sslmode=require&{name}={path}")
            assert (found.code, found.exit_code) == ("database_url_unusable", Exit.SETTINGS)
            assert name in found.sentence
            assert path in found.sentence

    async def test_that_names_the_systems_authorities_is_told_so(self) -> None:
        """What libpq calls so isn't known here."""
        found = await failure(f"{NOWHERE}?sslmode=verify-full&sslrootcert=system")
        assert (found.code, found.exit_code) == ("database_url_unusable", Exit.SETTINGS)
        assert "sslrootcert=system" in found.sentence

    async def test_that_names_another_authority_is_told_so(self, tmp_path: Path) -> None:
        """A certificate that isn't trusted is told from a database that is away."""
        authority().write(tmp_path, "ca")
        async with encrypting(tmp_path) as port:
            url = f"postgresql://app:q7Jd02kfh3@127.0.0.1:{port}/billfold"
            found = await failure(f"{url}?sslmode=verify-full&sslrootcert={tmp_path}/ca.pem")
        assert (found.code, found.exit_code) == ("database_url_unusable", Exit.SETTINGS)
        assert "sslrootcert" in found.sentence

    @pytest.mark.parametrize("parameter", ["sslmod=require", "client_encoding=klingon", "max_connections=3"])
    async def test_with_a_parameter_that_isnt_taken_is_told_which(self, database: str, parameter: str) -> None:
        """A misspelt one is no database that is to be started."""
        found = await failure(f"{database}&{parameter}")
        assert (found.code, found.exit_code) == ("database_url_unusable", Exit.SETTINGS)
        assert parameter.partition("=")[0] in found.sentence

    async def test_with_a_mode_that_isnt_one_is_told_the_modes(self) -> None:
        """What can be said of TLS is listed."""
        found = await failure(f"{NOWHERE}?sslmode=verify-ful")
        assert found.exit_code == Exit.SETTINGS
        assert "verify-full" in found.sentence
