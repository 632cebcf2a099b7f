"""What is refused of versions of the contract."""

from billfold.errors._families import InvalidRequest

__all__ = ["ApiVersionUnknown"]


class ApiVersionUnknown(InvalidRequest):
    """The request asks for a version of the contract that this server doesn't have."""

    code, title = "api_version_unknown", "There is no such version of the contract"
