"""The parent's processes."""

import asyncio
import os
import signal

import pytest

from billfold_server.serving.supervisor import DECRYPTOR, SIMULATOR, WORKER, Worker


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

    async def test_leaves_its_parent_interrupts(self) -> None:
        """Nothing stays blocked that wasn't."""
        worker = await Worker.spawn([], {}, module=SIMULATOR)
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        worker.kill()
        await worker.ended()
