"""What a parent does beside its processes for as long as it serves."""

import asyncio
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from billfold_server.db.embedded import StartFailed
from billfold_server.serving import service
from billfold_server.serving.orders import Orders, settings_sent
from billfold_server.settings import Settings, load_settings


def settings_in(folder: Path) -> Settings:
    """Return settings with databases that aren't there."""
    urls = ("database_url", "admin_database_url", "key_store_url")
    return load_settings({}, data_dir=str(folder), **{name: address(1) for name in urls})


def address(port: int) -> str:
    """Return where a database is."""
    return f"postgresql://nobody:none@127.0.0.1:{port}/none"


def serving(settings: Settings, embedded: object = None, renew: object = None) -> Any:
    """Return a server that serves, as far as its parent's own work looks at it."""
    return SimpleNamespace(
        found=SimpleNamespace(settings=settings, embedded=embedded),
        orders=Orders(settings_sent(settings), owns_database=True),
        supervisor=SimpleNamespace(renew=renew),
        decryptor=SimpleNamespace(renew=lambda _: None),
    )


class TestAServer:
    @pytest.mark.parametrize(("keyring", "said"), [(None, "is gone"), (b"{}", "is no keyring")])
    async def test_goes_on_where_its_daily_work_cant_be_done(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        keyring: bytes | None,
        said: str,
    ) -> None:
        """A keyring that was lost or spoiled meanwhile is told, and none is made in its place."""
        monkeypatch.setattr(service, "_MONTHS_AFTER_S", 0)
        monkeypatch.setattr(service, "_DAY_S", 0.01)
        settings = settings_in(tmp_path)
        if keyring is not None:
            settings.keyring_path.write_bytes(keyring)
        with caplog.at_level(logging.ERROR, "billfold.server"):
            working = asyncio.create_task(service._keep_months(serving(settings)))
            while len(caplog.messages) < 2 and not working.done():
                await asyncio.sleep(0.01)
        assert not working.done()
        working.cancel()
        assert said in caplog.messages[1]
        assert settings.keyring_path.exists() is (keyring is not None)

    async def test_goes_on_while_files_of_its_database_cant_be_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its workers are connected; that the database has moved is seen once they can be read again."""
        monkeypatch.setattr(service, "_FOLLOW_S", 0.001)
        denied = PermissionError(13, "Permission denied")
        said: list[str | Exception] = [address(1), StartFailed("the password is missing"), denied, address(2)]
        looks = iter(said)
        orders = asyncio.Queue[Orders]()

        def dsn() -> str:
            if isinstance(found := next(looks), Exception):
                raise found
            return found

        ready = serving(settings_in(tmp_path), SimpleNamespace(dsn=dsn), renew=orders.put_nowait)
        following = asyncio.create_task(service._follow(ready))
        asked = asyncio.create_task(orders.get())
        await asyncio.wait([following, asked], return_when=asyncio.FIRST_COMPLETED)
        assert asked.done()
        assert asked.result().settings["database_url"] == address(2)
        following.cancel()
