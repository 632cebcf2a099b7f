"""What is refused of messages themselves, on the interfaces of standards."""

from billfold.errors._families import InvalidRequest, NotFound, PermissionDenied

__all__ = ["EndpointNotOffered", "MessageSignatureInvalid", "NotAcceptable", "TokenOfAnotherKind"]


class NotAcceptable(InvalidRequest):
    """The answer would be of no media type that the request accepts."""

    code, title = "not_acceptable", "The answer's media type is not accepted"


class EndpointNotOffered(NotFound):
    """The standard knows the endpoint, but this bank doesn't offer it."""

    code, title = "endpoint_not_offered", "The endpoint is not offered"


class MessageSignatureInvalid(InvalidRequest):
    """The message isn't signed as it must be; ``fault`` is ``missing``, ``malformed``, ``claim_missing``,
    ``claim_invalid`` or ``invalid``.
    """  # noqa: D205 - The faults belong into the first sentence.

    code, title = "message_signature_invalid", "The message's signature is not valid"
    fault: str


class TokenOfAnotherKind(PermissionDenied):
    """A client's own token came where a customer's is needed, or the other way round."""

    code, title = "token_of_another_kind", "The access token is of another kind than the operation needs"
