"""What the roles of a bank's staff allow, and what they keep apart."""

import itertools

import pytest

from billfold.contract.roles import StaffRole
from billfold_server.people.roles import ROLES, allowed_scopes

MOVES_MONEY = {"transfers:write", "holds:write", "ledger:write", "statements:write"}
GIVES_ACCESS = {"clients:write", "users:write"}


class TestEveryRole:
    def test_has_scopes(self) -> None:
        """No role is forgotten in the table."""
        assert set(ROLES) == set(StaffRole)

    def test_is_needed(self) -> None:
        """No role has all that another one has, but for the auditor's and support's reading."""
        readers = {StaffRole.AUDITOR, StaffRole.SUPPORT}
        for one, other in itertools.permutations(set(StaffRole) - readers, 2):
            assert not ROLES[one] >= ROLES[other], (one, other)


class TestNoRole:
    @pytest.mark.parametrize("role", StaffRole)
    def test_both_moves_money_and_gives_access(self, role: StaffRole) -> None:
        """Nobody can make a program of their own that moves money, and move it."""
        assert not (ROLES[role] & MOVES_MONEY and ROLES[role] & GIVES_ACCESS)

    @pytest.mark.parametrize("role", StaffRole)
    def test_both_asks_and_decides(self, role: StaffRole) -> None:
        """Who approves moves no money, and who moves money doesn't approve."""
        assert not (ROLES[role] & MOVES_MONEY and "approvals:decide" in ROLES[role])

    def test_allows_anything_if_it_isnt_known(self) -> None:
        """A role of a newer server is none."""
        assert allowed_scopes(["emperor"]) == frozenset()


class TestSomebody:
    def test_with_two_roles_may_do_what_either_allows(self) -> None:
        """Roles add up."""
        both = allowed_scopes([StaffRole.SUPPORT, "auditor"])
        assert both == ROLES[StaffRole.SUPPORT] | ROLES[StaffRole.AUDITOR]

    def test_who_only_reads_changes_nothing(self) -> None:
        """Support and auditors have no scope but for reading."""
        assert all(scope.endswith(":read") for scope in allowed_scopes(["support", "auditor"]))
