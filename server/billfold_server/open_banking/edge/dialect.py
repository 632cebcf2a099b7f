"""What the interface asks of each of its operations, in the order in which requests go through it."""

from typing import TYPE_CHECKING, Any, Final

from billfold import errors
from billfold_server.http.answers import Answer
from billfold_server.http.routing import Call
from billfold_server.open_banking.edge import headers, signatures
from billfold_server.open_banking.edge.errors import answer_of, refusal_of
from billfold_server.open_banking.edge.interface import Declared
from billfold_server.open_banking.edge.texts import check_texts
from billfold_server.open_banking.edge.versions import in_version_3

if TYPE_CHECKING:
    from billfold_server.http.context import RequestContext
    from billfold_server.http.services import Services
    from billfold_server.tenancy.context import TenantRef

__all__ = ["OpenBankingDialect"]

_FIRST_REFUSAL: Final = 400
_OLD_VERSION: Final = b"3.1.11"


class OpenBankingDialect:
    """Reads and answers the requests of one operation.

    Args:
        declared: What the standard says of it.
    """

    def __init__(self, declared: Declared) -> None:
        self.declared = declared
        # What a file can be is the operation's own business.
        self._of_file = declared.path.endswith("/file")
        # The standard names the header for recurring payments; who migrates needs the old names of the others as well.
        self._by_version = (
            declared.version_in
            or declared.version_out
            or "consents" in declared.path
            or declared.path.startswith(("/domestic-payments", "/domestic-vrps"))
        )
        self._names = _names_of(declared)
        self._of_consent = "consents" in declared.path and not declared.path.endswith("funds-confirmation")

    def enter(self, context: "RequestContext") -> None:
        """See that the tenant offers the interface.

        Raises:
            errors.EndpointNotOffered: It doesn't.
        """
        if context.tenant is not None and not context.tenant.manifest.open_banking.enabled:
            raise errors.EndpointNotOffered

    def read(self, call: Call) -> None:
        """See that the token is of the kind that the operation needs, and that the headers are of their form.

        Raises:
            errors.TokenOfAnotherKind: A client's own token came where a customer's is needed, or the reverse.
            errors.NotAcceptable: No JSON is accepted.
            errors.IdempotencyKeyMissing: There is no key where there must be one.
            errors.ValidationFailed: A header isn't of its form.
        """
        declared = self.declared
        if (call.caller.grant_id is not None) is not declared.of_customer:
            raise errors.TokenOfAnotherKind
        if not self._of_file:
            headers.check_accept(call.headers.get("accept"))
        headers.check_headers(call.headers)
        headers.payload_version(call.headers)
        if declared.keyed:
            # A key belongs to the operation, and not to the client alone.
            call.idempotency_key = f"{declared.operation_id} {headers.read_idempotency_key(call.headers)}"

    async def admit(self, call: Call) -> None:
        """See that the client has signed the body, where it must.

        Raises:
            errors.MessageSignatureInvalid: It hasn't.
        """
        if self.declared.signed:
            await signatures.check(call)

    def check(self, call: Call, body: Any) -> None:
        """See that nothing in the body is hidden from who reads it.

        Raises:
            errors.ValidationFailed: The path names the text.
        """
        # What is told about events is for programs.
        if self.declared.area != "events":
            check_texts(call.body, body)

    async def finish(self, call: Call, answer: Answer) -> Answer:
        """Return the answer signed, where answers are, and by the names that the client asks for."""
        body, changed = answer.body, False
        if self._by_version:
            if headers.payload_version(call.headers) == headers.OLD_PAYLOAD and body and answer.status < _FIRST_REFUSAL:
                body, changed = in_version_3(body, consent=self._of_consent), True
            if changed and self.declared.version_out:
                answer.headers.append((b"payload-version", _OLD_VERSION))
        if changed:
            answer = Answer(answer.status, body, [each for each in answer.headers if each[0] != b"content-length"])
        await self._sign(answer, call.services, call.tenant, call.memo)
        return answer

    async def refuse(self, context: "RequestContext", error: errors.ProblemError, services: "Services") -> Answer:
        """Return the answer that an error makes."""
        declared = self.declared
        refusal = refusal_of(
            error, context.request_id, statuses=declared.statuses, empty=declared.empty, names=self._names
        )
        answer = answer_of(refusal)
        if context.tenant is not None:
            await self._sign(answer, services, context.tenant)
        return answer

    async def _sign(
        self, answer: Answer, services: "Services", tenant: "TenantRef", memo: dict[str, Any] | None = None
    ) -> None:
        if not self.declared.answers_signed or not answer.body:
            return
        if self.declared.area == "events" and answer.status >= _FIRST_REFUSAL:
            return
        try:
            signature = await signatures.make(services, tenant, answer.body, memo)
        except errors.KeysUnavailable:
            # A refusal says why by itself; a success that can't be signed is none.
            if answer.status < _FIRST_REFUSAL:
                raise
            return
        answer.headers.append((b"x-jws-signature", signature.encode()))


def _names_of(declared: Declared) -> dict[str, str]:
    """Return what an operation's request calls what commands of the ledger call otherwise."""
    if declared.area != "pisp":
        return {}
    order = "Data.Instruction" if declared.path.startswith("/domestic-vrps") else "Data.Initiation"
    return {
        "to_wallet_id": f"{order}.CreditorAccount",
        "from_wallet_id": "Data.Initiation.DebtorAccount",
        "amount": f"{order}.InstructedAmount",
    }
