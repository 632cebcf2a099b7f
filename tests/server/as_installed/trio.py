"""Stands before Selenium's trio on the path of processes that tests start, which then find none, as in an installation.

httpcore imports trio wherever it finds it, which would cost each of these processes a twentieth of a second.
"""

raise ModuleNotFoundError(name="trio")
