"""The library of Standard Webhooks for Node believes what the server signs, and nothing else."""

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from billfold_server.webhooks.signing import KeyPair, SigningKeys, headers_of

HERE = Path(__file__).parent
PAIR, FORMER, OTHER = (KeyPair(secret=bytes([n]) * 32, seed=bytes([n]) * 32) for n in (1, 2, 3))
ID = "evt_01m7w9tnzcejq9b78b81gh4nmw"
EVENT = {"id": ID, "type": "transfer.posted", "data": {"name": "Zoë"}}
BODY = json.dumps(EVENT, ensure_ascii=False)
BOTH = SigningKeys(present=PAIR, former=FORMER, former_until=datetime(9999, 1, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install what is locked beside this file, and return where."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("needs node and npm")
    folder = tmp_path_factory.mktemp("standard_webhooks")
    for name in ("package.json", "package-lock.json", ".npmrc", "driver.mjs"):
        shutil.copy(HERE / name, folder)
    subprocess.run(["npm", "ci", "--silent"], cwd=folder, check=True, timeout=100)
    return folder


def delivery(secret: str, *, body: str = BODY, ago: timedelta = timedelta(0), name: str = "") -> dict[str, Any]:
    """Return what arrives at an endpoint, signed by the present and the former secret, and by what it is verified."""
    headers = headers_of(BOTH, ID, BODY.encode(), datetime.now(UTC).replace(microsecond=0) - ago)
    return {"secret": secret, "headers": {**headers, "webhook-id": name or ID}, "body": body}


def verified(folder: Path, *deliveries: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the library makes of deliveries."""
    lines = "".join(json.dumps(each) + "\n" for each in deliveries)
    done = subprocess.run(
        ["node", "driver.mjs"], cwd=folder, input=lines, text=True, capture_output=True, check=True, timeout=60
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


class TestTheLibraryForNode:
    def test_believes_what_is_signed_by_the_present_or_the_former_secret(self, folder: Path):
        """Both count while a secret is replaced, though signatures by keys, which it doesn't know, stand between."""
        answers = verified(folder, delivery(PAIR.secret_text), delivery(FORMER.secret_text))
        assert answers == [{"event": EVENT}, {"event": EVENT}]

    def test_believes_nothing_else(self, folder: Path):
        """Neither another body, id or time, nor another's secret."""
        wrong = [
            delivery(OTHER.secret_text),
            delivery(PAIR.secret_text, body=BODY.replace("Zoë", "Zoe")),
            delivery(PAIR.secret_text, name="evt_another"),
            delivery(PAIR.secret_text, ago=timedelta(minutes=10)),
        ]
        assert [each["refused"] for each in verified(folder, *wrong)] == ["WebhookVerificationError"] * len(wrong)
