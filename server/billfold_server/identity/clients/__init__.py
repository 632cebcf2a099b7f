"""Registered clients: what is known of them (RFC 7591), and how each proves who it is (RFC 7523, RFC 8705)."""
