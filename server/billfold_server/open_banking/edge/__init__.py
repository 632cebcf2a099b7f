"""What all operations of the interface have in common: headers, signatures, repetition, refusals.

A room's ``routes.py`` declares an operation by its official path alone::

    routes = OpenBankingRoutes("aisp", tag="Open banking: accounts", description="…")

    @routes.get("/accounts/{AccountId}/balances", errors=(errors.ConsentLacksPermission,))
    async def get_account_balances(call: Call, account_id: str) -> OBReadBalance1:
        \"\"\"Show the balances of an account.\"\"\"
        async with call.tx() as tx:
            ...
        return OBReadBalance1(data=..., links=links_of(call), meta=meta_of())

What the interface says of the operation (operation id, scope, whose token, statuses, headers, signatures, idempotency)
stands in ``interface`` and is never repeated by a room. Parameters have the official name in words: ``account_id`` is
``{AccountId}``, ``from_booking_date_time`` is ``fromBookingDateTime``. Before the handler runs, the endpoint is known
to be offered, the token to be a client's own or a customer's as the interface asks, the headers to be of their form,
and the body to be signed by the client. What a handler returns is signed where the interface says so.

What a handler raises of ``billfold.errors`` becomes ``OBErrorResponse1`` by the table in ``errors``: a room that has
new classes adds its lines there, and raises ``field_error`` for what is wrong with one member of the body.

POSTs under ``x-idempotency-key`` are carried out by ``once``, which keeps the id of what was made, so that a copy is
answered with what has become of it; or give ``call.idempotency`` to the ledger's engine, which keeps the first answer.
"""
