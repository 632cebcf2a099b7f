"""Tenants' keys in the transit engine of HashiCorp Vault or OpenBao, from which they never come out.

One file per topic: ``answers`` (what Vault's answers mean), ``link`` (connections, and a bound on each call),
``logins`` (AppRole, Kubernetes, certificate, token), ``sessions`` (renewing a login, and doing it anew), ``transit``
(what is asked of the engine), ``breaker`` (not asking in vain), ``backend`` (all of that off the event loop).
"""
