"""The wire contract, written once: what the server answers by and what the client reads by.

Requests are closed and strict: an unknown field or a wrong type is refused. Responses are exported closed, and the
client reads them through open types derived from these, so that an older SDK survives new fields and values.
One module per context.
"""
