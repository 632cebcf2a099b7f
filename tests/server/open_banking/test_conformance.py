"""Every operation of the official documents against a running server, by schemathesis, with real consents and tokens.

``BILLFOLD_OPEN_BANKING_EXAMPLES`` says how many random requests each operation gets; ``nox -s open_banking`` gives each
a hundred, and goes through every constraint of every member besides.
"""

import os
from typing import Final

import pytest

from billfold_server.open_banking.edge.interface import root_of
from tests.server.open_banking.conformance import operations_of, run
from tests.server.open_banking.documents import FILES, official_operations
from tests.server.open_banking.preparing import Preparing
from tests.server.open_banking.scene import Scene

EXAMPLES: Final = int(os.environ.get("BILLFOLD_OPEN_BANKING_EXAMPLES", "1"))
MANY: Final = 20
NEVER: Final = {"domesticVrpConsentsPut", "domesticVrpConsentsPatch"}
"""These bring consents of an older version into this one, and there are none here: they answer with a conflict."""

pytestmark = [pytest.mark.timeout(3600), pytest.mark.xdist_group("open banking scene")]


class TestTheServer:
    @pytest.mark.parametrize("file", FILES)
    def test_answers_as_the_official_document_says(self, file: str, scene: Scene) -> None:
        """No answer differs from its documented form, and each operation is answered with its own success."""
        area = FILES[file]
        base = scene.bank.live.base(scene.bank.slug) + root_of(area)
        preparing = Preparing(scene)
        seen = run(
            file,
            operations_of(file),
            base,
            prepare=preparing.prepare,
            sign=preparing.sign,
            max_examples=EXAMPLES,
            thorough=EXAMPLES >= MANY,
        )
        assert not seen.failures, "\n".join([*seen.failures[:20], f"… {len(seen.failures)} in all"])
        successes = {each.operation_id: each.responses for each in official_operations().values()}
        missed = {
            operation
            for operation in operations_of(file) - NEVER
            if not any(seen.statuses[operation][status] for status in successes[operation] if status < 300)
        }
        assert missed == set()
