"""A directory of licensed third parties for development: test software with keys, certificates and statements.

In production the directory is somebody else's, whom the tenant's manifest names; what clients show is the same.
"""
