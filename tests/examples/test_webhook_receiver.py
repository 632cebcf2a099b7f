"""The example of a receiver takes what `billfold webhooks listen` delivers to it, both run as they stand."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from billfold import Billfold
from billfold.cli.root import partner
from tests.examples.conftest import ROOT
from tests.live import LiveServer
from tests.sandbox import options

EXPECTED = (Path(__file__).parent / "webhook_receiver.txt").read_text(encoding="utf-8")
SECRET = "whsec_c2VjcmV0IG9mIHRoZSByZWNlaXZlciBoZXJl"


@pytest.fixture
def receiver() -> Iterator["subprocess.Popen[str]"]:
    """The example, running."""
    with subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / "webhook_receiver" / "receiver.py")],
        env={**os.environ, "PYTHONPATH": str(ROOT / "sdk"), "BILLFOLD_WEBHOOK_SECRET": SECRET},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.terminate()


class TestTheReceiver:
    def test_prints_what_it_promises(self, live: LiveServer, receiver: "subprocess.Popen[str]"):
        """It acts on each event once, and on nothing that the bank hasn't signed."""
        assert receiver.stdout is not None
        url = receiver.stdout.readline().removeprefix("listening at ").strip()
        told = options(live)
        with Billfold(**told) as billfold:
            before = billfold.events.newest()
            ada = billfold.parties.create(kind="person", name="Ada")
            wallets = [billfold.wallets.create(party_id=ada.id) for _ in range(2)]
            billfold.top_ups.create(wallet_id=wallets[0].id, amount=("50.00", "EUR"))
            billfold.transfers.create(from_wallet_id=wallets[0].id, to_wallet_id=wallets[1].id, amount=("12.50", "EUR"))
            count = billfold.events.newest() - before
        variables = {f"BILLFOLD_{name.upper()}": value for name, value in told.items()}
        variables["BILLFOLD_WEBHOOK_SECRET"] = SECRET
        listen = ["webhooks", "listen", "--forward-to", url, "--secret-variable", "BILLFOLD_WEBHOOK_SECRET"]
        for _ in range(2):
            # The second time is as if the answers had been lost.
            done = CliRunner().invoke(partner, [*listen, f"--after={before}", f"--count={count}"], env=variables)
            assert done.exit_code == 0, done.output
            assert done.stdout.count(" 204 in ") == count
        assert httpx.post(url, content=b"{}").status_code == 400
        receiver.terminate()
        assert receiver.stdout.read() == EXPECTED
