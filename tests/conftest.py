"""The fixtures that tests of any room may use."""

from tests.openbao import openbao
from tests.tenants import tenancy, tenancy_template

__all__ = ["openbao", "tenancy", "tenancy_template"]
