"""The fixtures that tests of any room may use."""

from tests.openbao import openbao
from tests.server.tls_up import tls_up
from tests.tenants import administer, tenancy, tenancy_deployment, tenancy_template

__all__ = ["administer", "openbao", "tenancy", "tenancy_deployment", "tenancy_template", "tls_up"]
