"""The test software that the development directory knows. Nobody behind it exists."""

from collections.abc import Sequence
from typing import Final

import msgspec

__all__ = ["CALLBACKS", "TEST_SOFTWARE", "Role", "TestSoftware"]

Role = str
"""``AISP``, ``PISP`` or ``CBPII``, as directories write them."""

CALLBACKS: Final = ("http://127.0.0.1:8090/callback", "https://localhost:8090/callback", "https://tpp.test/callback")
"""Where answers may be sent: to a program on the developer's machine, or to a name that is nobody's (RFC 6761)."""


class TestSoftware(msgspec.Struct, frozen=True, kw_only=True):
    """One third party's software.

    Attributes:
        name: Under which the directory keeps it.
        client_name: What people see.
        organisation: Who runs it.
        organisation_id: The same for programs.
        roles: What it is licensed for.
    """

    name: str
    client_name: str
    organisation: str
    organisation_id: str
    roles: Sequence[Role]

    @property
    def software_id(self) -> str:
        """Its name among all software of all directories."""
        return f"billfold-test-{self.name}"

    @property
    def subject(self) -> str:
        """The distinguished name in its transport certificate (RFC 4514)."""
        return f"CN={self.software_id},OU={self.organisation_id},O={self.organisation},C=GB"


TEST_SOFTWARE: Final = (
    TestSoftware(
        name="aisp",
        client_name="Fernleaf Budget",
        organisation="Fernleaf Test Ltd",
        organisation_id="test-org-1",
        roles=("AISP",),
    ),
    TestSoftware(
        name="pisp",
        client_name="Tillside Checkout",
        organisation="Tillside Test Ltd",
        organisation_id="test-org-2",
        roles=("PISP",),
    ),
    TestSoftware(
        name="cbpii",
        client_name="Cardinal Cards",
        organisation="Cardinal Test Ltd",
        organisation_id="test-org-3",
        roles=("CBPII",),
    ),
    TestSoftware(
        name="all",
        client_name="Magpie Money",
        organisation="Magpie Test Ltd",
        organisation_id="test-org-4",
        roles=("AISP", "PISP", "CBPII"),
    ),
)
"""One for each role, and one with all of them."""
