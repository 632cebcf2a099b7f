"""What was shown to one process of the server isn't new to another, nor to one that has begun since."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.live import LiveServer
from tests.server.identity.grants.asking import new_asker
from tests.server.upping import Up, data_dirs


@contextmanager
def another(live: LiveServer, folder: Path) -> Iterator[Callable[[str, dict[str, str]], httpx.Response]]:
    """Start a server of its own processes on the same database and keyring, and return what asks it."""
    settings = live.settings
    places = (settings.database_url, settings.admin_database_url, settings.key_store_url)
    database_url, admin_database_url, key_store_url = ("" if url is None else url.reveal() for url in places)
    up = Up(
        folder,
        "--port=0",
        "--workers=1",
        BILLFOLD_PUBLIC_URL=live.url,
        BILLFOLD_KEYRING_FILE=str(Path(settings.data_dir) / "keyring.json"),
        BILLFOLD_DATABASE_URL=database_url,
        BILLFOLD_ADMIN_DATABASE_URL=admin_database_url,
        BILLFOLD_KEY_STORE_URL=key_store_url,
    ).ready()
    try:
        yield lambda path, headers: httpx.get(f"http://127.0.0.1:{up.port}{path}", headers=headers)
    finally:
        up.end()


class TestAProof:
    def test_is_used_up_for_every_process_and_for_those_to_come(self, profiled: LiveServer) -> None:
        """One that was taken from the wire is worth nothing at another server, and nothing after a restart."""
        asker = new_asker(profiled, "fapi2")
        token = str(asker.token().json()["access_token"])

        def proof() -> dict[str, str]:
            made = asker.prover.proof("GET", f"{asker.app.base}/v1/tenant", token=token)
            return {"Authorization": f"DPoP {token}", "DPoP": made}

        path = "/t/fapi2/v1/tenant"
        with data_dirs() as give:
            folder = give()
            with another(profiled, give()) as other:
                with another(profiled, folder) as one:
                    # A proof is good for a minute, which a server may take to start on a busy machine.
                    first = proof()
                    assert one(path, first).status_code == 200
                    assert other(path, first).status_code == 401
                    second = proof()
                    assert other(path, second).status_code == 200
                    assert one(path, second).status_code == 401
                with another(profiled, folder) as restarted:
                    assert restarted(path, first).status_code == 401
                    assert restarted(path, second).status_code == 401
                    assert restarted(path, proof()).status_code == 200
