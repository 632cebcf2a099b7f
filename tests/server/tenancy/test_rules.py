"""Names and states of tenants."""

import secrets
from itertools import product
from typing import Any
from uuid import UUID

import pytest

from billfold import ids
from billfold.contract.platform import TenantState
from billfold.ids import Prefix
from billfold_server.tenancy.rules import TRANSITIONS, Deployment, new_deployment_id, objection, quoted, tenant_names

pytestmark = pytest.mark.any_postgres

EVENTS = ("finish", "suspend", "resume", "delete")


class TestNames:
    def test_hold_the_deployment_and_the_tenants_id(self) -> None:
        """Roles are the whole cluster's, so two deployments and two tenants must differ in them."""
        tenant_id = ids.uuid7()
        key = ids.encode(Prefix.TENANT, tenant_id).removeprefix("ten_")
        names = tenant_names(Deployment("0abcdef9"), tenant_id)
        assert names.runtime_role == f"bf_0abcdef9_{key}_run"
        assert names.owner_role == f"bf_0abcdef9_{key}_own"
        assert names.schema == f"t_{key}"

    def test_fit_into_an_identifier(self) -> None:
        """PostgreSQL cuts names at 63 bytes without an error, and two names could become one."""
        names = tenant_names(Deployment(new_deployment_id(secrets.token_bytes(8))), UUID(int=2**128 - 1))
        assert max(len(name) for name in (names.schema, names.owner_role, names.runtime_role)) <= 63
        assert quoted(names.runtime_role) == f'"{names.runtime_role}"'

    @pytest.mark.parametrize("name", ['a"; DROP', "A", "", "1a", "a-b", "ä", "a" * 64, "a\0", "a b"])
    def test_that_are_not_ours_do_not_get_into_sql(self, name: str) -> None:
        """They are refused, not escaped."""
        with pytest.raises(ValueError, match="identifier"):
            quoted(name)

    def test_of_a_deployment_are_found_by_its_platforms_owner(self) -> None:
        """The owner of the platform's schema tells which deployment it is, and a stranger's schema isn't taken."""
        deployment = Deployment(new_deployment_id(secrets.token_bytes(8)))
        assert Deployment.of_platform_owner(deployment.platform_owner) == deployment
        with pytest.raises(ValueError, match="belongs to"):
            Deployment.of_platform_owner("postgres")


class TestStates:
    def test_have_a_decision_for_every_event(self) -> None:
        """What isn't in the table is refused; this is the whole of it."""
        decided = {pair: TRANSITIONS.get(pair) for pair in product(TenantState, EVENTS)}
        refused = {pair for pair, to in decided.items() if to is None}
        assert refused == {
            (TenantState.PROVISIONING, "suspend"),
            (TenantState.PROVISIONING, "resume"),
            (TenantState.ACTIVE, "delete"),
            (TenantState.DELETING, "finish"),
            (TenantState.DELETING, "suspend"),
            (TenantState.DELETING, "resume"),
        }
        assert set(TRANSITIONS) == set(decided) - refused

    def test_are_the_same_after_an_event_that_comes_twice(self) -> None:
        """An operator's command can be repeated."""
        for (_, event), to in TRANSITIONS.items():
            assert TRANSITIONS[to, event] == to


class TestADatabase:
    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"version": 15}, "15"),
            ({"version": 9, "creates_roles": False}, "9"),
            ({"creates_roles": False}, "dba"),
            ({"owns_database": False}, "wallets"),
        ],
    )
    def test_that_cannot_carry_billfold_is_told_in_one_sentence(self, changes: dict[str, Any], named: str) -> None:
        """The sentence names what is wrong."""
        good: dict[str, Any] = {
            "version": 16,
            "role": "dba",
            "database": "wallets",
            "creates_roles": True,
            "owns_database": True,
        }
        assert objection(**good) is None
        sentence = objection(**(good | changes))
        assert sentence is not None
        assert named in sentence
        assert sentence.count(". ") == 0
        assert sentence.endswith(".")
