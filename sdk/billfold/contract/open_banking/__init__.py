"""The wire contract of UK Open Banking, Read/Write API v4.0, for the operations that are served.

Classes are called as the official schemas are, and members on the wire too; a schema that has no name there is called
after where it stands. Where two official documents mean different things by one name, the later one's has its area
added. What may be absent is ``UNSET``, since no member of these documents may be null. Amounts are decimal strings.

Nothing here is imported with ``billfold``; whoever needs an area imports its module.

Source: Open Banking Read/Write API Specification 4.0, as OpenAPI documents.
"""
