# Generated from billfold/consents/_async/asking.py by tests/sdk/generate_sync.py. Change that one instead.

"""Asks a bank: signs what is sent, sends it, and verifies what comes back."""

from typing import TypeVar

from billfold.auth import _jwt as jwt
from billfold.client._message import Response
from billfold.client._sync.backend import sign
from billfold.client._sync.session import Session
from billfold.consents import signatures
from billfold.consents.asking import Manner, Order, call_of
from billfold.consents.reading import reader
from billfold.consents.refusals import AnswerNotSigned

__all__ = ["Asking"]

T = TypeVar("T")


class Asking:
    """What the parts of a third party share.

    Args:
        session: What carries requests.
        manner: How the third party speaks.
    """

    __slots__ = ("manner", "session")

    def __init__(self, session: Session, manner: Manner) -> None:
        self.session = session
        self.manner = manner

    def ask(self, order: Order[T]) -> T:
        """Carry out an order and return the bank's answer.

        Raises:
            OpenBankingRefusal: The bank says no.
            AnswerNotSigned: The answer isn't the bank's.
            errors.TransportError: No answer came.
            ValueError: The order has to be signed, and there is no key for that.
        """
        response = self.fetch(order)
        return reader(order.answer)(response.body)

    def fetch(self, order: Order[T]) -> Response:
        """Carry out an order and return the whole response."""
        session = self.session
        call = call_of(order, session.base_url, headers=session.headers, timeouts=session.timeouts, manner=self.manner)
        if order.signed:
            call.headers[signatures.HEADER] = self._signature(order.body or b"")
        response: Response = session.run(call)
        if order.answer_signed and self.manner.verifies:
            self._verify(response)
        return response

    def _signature(self, body: bytes) -> str:
        manner = self.manner
        if manner.signer is None:
            raise ValueError("orders of this kind are signed: give the third party a signing_key")
        now = self.session.tokens.authority.now(self.session.kit)
        data = signatures.signing_input(
            manner.signer, body, issuer=manner.issuer, trust_anchor=manner.trust_anchor, now=now
        )
        return signatures.detached(data, sign(manner.signer, data))

    def _verify(self, response: Response) -> None:
        value = response.headers.get(signatures.HEADER)
        if value is None:
            raise AnswerNotSigned("it has no signature")
        authority, session = self.session.tokens.authority, self.session
        now = authority.now(session.kit)
        problem: AnswerNotSigned
        try:
            authority.checked(session, lambda keys: signatures.verify(value, response.body, keys, now=now))
        except jwt.Rejected as rejection:
            problem = AnswerNotSigned(rejection.reason)
        else:
            return
        raise problem
