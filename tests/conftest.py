"""The fixtures that tests of any room may use."""

from tests.tenants import tenancy, tenancy_template

__all__ = ["tenancy", "tenancy_template"]
