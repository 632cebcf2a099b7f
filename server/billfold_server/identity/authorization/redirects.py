"""Where an answer may go (RFC 6749, section 3.1.2; RFC 9700, section 4.1; FAPI 2.0, section 5.3.2.2)."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlsplit

from billfold_server.identity.rules import OAuthRefusal

__all__ = ["origin_of", "read_redirect_uri", "with_parameters"]


def read_redirect_uri(asked: object, registered: Sequence[str]) -> str:
    """Return the address of a request, which must be one of the client's, to the character.

    Nothing is normalised, because whatever is taken for equal here may be another place to the browser. It must be
    named even where only one is registered.

    Raises:
        OAuthRefusal: ``invalid_request``: it is absent, or not registered.
    """
    if asked is None:
        raise OAuthRefusal("invalid_request", "redirect_uri is required")
    if not isinstance(asked, str) or asked not in registered:
        raise OAuthRefusal("invalid_request", "redirect_uri isn't one that the client has registered")
    return asked


def with_parameters(redirect_uri: str, parameters: Mapping[str, str]) -> str:
    """Return an address with further parameters in its query; those that it has already are kept (section 3.1.2)."""
    added = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())
    separator = "&" if urlsplit(redirect_uri).query else "" if redirect_uri.endswith("?") else "?"
    return f"{redirect_uri}{separator}{added}"


def origin_of(uri: str) -> str:
    """Return scheme and authority of an address, or only the scheme where it has no authority."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"
