"""Asks a bank: signs what is sent, sends it, and verifies what comes back."""

from typing import TypeVar

from billfold.auth import _jwt as jwt
from billfold.client._async.backend import sign
from billfold.client._async.session import AsyncSession
from billfold.client._message import Response
from billfold.consents import signatures
from billfold.consents.asking import Manner, Order, call_of
from billfold.consents.reading import reader
from billfold.consents.refusals import AnswerNotSigned

__all__ = ["AsyncAsking"]

T = TypeVar("T")


class AsyncAsking:
    """What the parts of a third party share.

    Args:
        session: What carries requests.
        manner: How the third party speaks.
    """

    __slots__ = ("manner", "session")

    def __init__(self, session: AsyncSession, manner: Manner) -> None:
        self.session = session
        self.manner = manner

    async def ask(self, order: Order[T]) -> T:
        """Carry out an order and return the bank's answer.

        Raises:
            OpenBankingRefusal: The bank says no.
            AnswerNotSigned: The answer isn't the bank's.
            errors.TransportError: No answer came.
            ValueError: The order has to be signed, and there is no key for that.
        """
        response = await self.fetch(order)
        return reader(order.answer)(response.body)

    async def fetch(self, order: Order[T]) -> Response:
        """Carry out an order and return the whole response."""
        session = self.session
        call = call_of(order, session.base_url, headers=session.headers, timeouts=session.timeouts, manner=self.manner)
        if order.signed:
            call.headers[signatures.HEADER] = await self._signature(order.body or b"")
        response: Response = await session.run(call)
        if order.answer_signed and self.manner.verifies:
            await self._verify(response)
        return response

    async def _signature(self, body: bytes) -> str:
        manner = self.manner
        if manner.signer is None:
            raise ValueError("orders of this kind are signed: give the third party a signing_key")
        now = self.session.tokens.authority.now(self.session.kit)
        data = signatures.signing_input(
            manner.signer, body, issuer=manner.issuer, trust_anchor=manner.trust_anchor, now=now
        )
        return signatures.detached(data, await sign(manner.signer, data))

    async def _verify(self, response: Response) -> None:
        value = response.headers.get(signatures.HEADER)
        if value is None:
            raise AnswerNotSigned("it has no signature")
        authority, session = self.session.tokens.authority, self.session
        now = authority.now(session.kit)
        problem: AnswerNotSigned
        try:
            await authority.checked(session, lambda keys: signatures.verify(value, response.body, keys, now=now))
        except jwt.Rejected as rejection:
            problem = AnswerNotSigned(rejection.reason)
        else:
            return
        raise problem
