"""TLS: what the server shows, and how it asks clients to show who they are.

``identity`` reads the server's certificate and key, and ``contexts`` makes of them what both ports speak TLS by. On the
first port nobody is asked for a certificate, so that no browser shows its user a list of them. ``asking`` is for the
second, where every client is. ``authority`` makes certificates for development, and ``commands`` is its command line.
"""
