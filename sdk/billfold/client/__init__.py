"""The client: flows without input or output, transports, retries and pages.

What partners need is exported by ``billfold`` itself. Modules whose name begins with an underscore may change.
"""
