"""The fixtures that tests of any room may use."""

from tests.openbao import openbao
from tests.server.tls_up import tls_up
from tests.tenants import tenancy, tenancy_template

__all__ = ["openbao", "tenancy", "tenancy_template", "tls_up"]
