"""The parent's processes."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from billfold_server.serving.failures import Exit, Failure
from billfold_server.serving.orders import Orders, settings_sent
from billfold_server.serving.supervisor import DECRYPTOR, SIMULATOR, WORKER, Worker
from billfold_server.settings import load_settings


class TestAProcess:
    @pytest.mark.parametrize("module", [DECRYPTOR, SIMULATOR, WORKER])
    async def test_hears_no_interrupt_while_it_is_still_loading(
        self, module: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """A terminal's Ctrl-C comes to all of a server's processes; this one ends when its parent says so, silently."""
        worker = await Worker.spawn([], {}, module=module)
        os.kill(worker.process.pid, signal.SIGINT)
        await asyncio.sleep(0.3)
        assert worker.process.returncode is None
        worker.kill()
        assert await worker.ended() == -signal.SIGKILL
        assert "KeyboardInterrupt" not in capfd.readouterr().err

    @pytest.mark.parametrize("module", [DECRYPTOR, WORKER])
    async def test_makes_no_keyring_in_the_place_of_one_that_is_gone(self, module: str, tmp_path: Path) -> None:
        """The parent has started with one; with another nothing of before would open, and nobody would see why."""
        nowhere = "postgresql://nobody:none@127.0.0.1:1/none"
        settings = load_settings({}, data_dir=str(tmp_path), database_url=nowhere, key_store_url=nowhere)
        worker = await Worker.spawn([], {}, module=module)
        with pytest.raises(Failure) as caught:
            await worker.serve(Orders(settings_sent(settings), owns_database=False))
        assert f"{settings.keyring_path} is gone" in caught.value.sentence
        assert caught.value.exit_code is Exit.SETTINGS
        assert not settings.keyring_path.exists()

    async def test_leaves_its_parent_interrupts(self) -> None:
        """Nothing stays blocked that wasn't."""
        worker = await Worker.spawn([], {}, module=SIMULATOR)
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        worker.kill()
        await worker.ended()
