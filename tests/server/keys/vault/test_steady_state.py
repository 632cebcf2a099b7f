"""What Vault is asked while all goes well: next to nothing (keys on a real OpenBao)."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from billfold_server.keys.service import Keys, Place
from tests.keystores import Owner
from tests.openbao import OpenBao
from tests.server.keys.vault.kit import opened

OPERATIONS = 10_000
PLACE = Place("parties", "pty_1", "email")


class TestKeysThatVaultWraps:
    async def test_ask_it_for_none_of_ten_thousand_values_once_they_know_the_epoch(
        self, openbao: OpenBao, tmp_path: Path, new_keys: Callable[..., Keys], owner: Owner
    ) -> None:
        """Half of them are sealed and half opened, for two hundred persons, old and new."""
        calls: Counter[str] = Counter()
        async with opened(openbao, tmp_path) as backend:
            backend._observe = lambda operation, outcome, _took_s: calls.update([f"{operation} {outcome}"])
            keys = new_keys(backend=lambda _store: backend)
            subjects = [uuid4() for _ in range(200)]
            await keys.sealer(owner, subjects[0])
            assert calls["ensure ok"] == calls["wrap ok"] == 1
            calls.clear()
            for number in range(OPERATIONS // 2):
                sealer = await keys.sealer(owner, subjects[number % len(subjects)])
                sealed = sealer.seal(PLACE, b"ada@example.org")
                assert (await keys.opener(owner, [sealed])).open(PLACE, sealed) == b"ada@example.org"
            assert calls.total() <= 1, calls
