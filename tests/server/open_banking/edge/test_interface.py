"""The interface's operations as they are declared here, against the official documents."""

from typing import Any

import pytest

from billfold_server.open_banking.edge.interface import INTERFACE, Area, Declared, root_of
from tests.server.open_banking.documents import AREAS, official_operations

DECLARED = pytest.mark.parametrize("declared", INTERFACE.values(), ids=lambda each: each.operation_id)


def official(declared: Declared) -> Any:
    """Return the official operation of the same place."""
    return official_operations()[declared.area, declared.method, declared.path]


class TestTheInterface:
    def test_has_the_operations_of_the_documents(self) -> None:
        """Every operation that is to be served is there, and no other: 29, 4, 15 and 5."""
        assert set(INTERFACE) == set(official_operations())
        counted: dict[Area, int] = dict.fromkeys(AREAS, 0)
        for area, _, _ in INTERFACE:
            counted[area] += 1
        assert counted == {"aisp": 29, "cbpii": 4, "pisp": 15, "events": 5}

    def test_lives_at_the_official_addresses(self) -> None:
        """Below a tenant's base, paths are those of the documents."""
        assert {each.server for each in official_operations().values()} == {root_of(area) for area in AREAS}

    @DECLARED
    def test_says_what_the_document_says(self, declared: Declared) -> None:
        """Id, statuses, bodies, security and headers are the official ones."""
        theirs = official(declared)
        assert declared.operation_id == theirs.operation_id
        assert declared.statuses == tuple(sorted(theirs.responses))
        assert {status for status in declared.statuses if status in declared.empty} == {
            status for status, response in theirs.responses.items() if not response.media
        }
        assert (declared.security, declared.scopes) == theirs.security
        assert declared.takes_body is theirs.takes_body
        required = {name for name, parameter in theirs.headers.items() if parameter.get("required")}
        assert declared.signed is ("x-jws-signature" in required)
        assert declared.keyed is ("x-idempotency-key" in required)
        assert declared.version_in is ("payload-version" in theirs.headers)
        successes = [response for status, response in theirs.responses.items() if status < 300]
        assert declared.version_out is any("payload-version" in each.headers for each in successes)
        with_body = [each for each in successes if each.media]
        assert not with_body or declared.answers_signed is any("x-jws-signature" in each.headers for each in with_body)
