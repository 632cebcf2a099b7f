"""TLS: whose certificates the server shows, and whose it is shown.

``authority`` makes certificates for development, and ``commands`` is its command line.
"""
