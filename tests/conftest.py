"""The fixtures that tests of any room may use."""

from tests.postgres_local import postgres_dsn
from tests.tenants import tenancy, tenancy_template

__all__ = ["postgres_dsn", "tenancy", "tenancy_template"]
