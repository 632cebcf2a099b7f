"""The synchronous client, generated from the asynchronous one, but for ``backend.py`` and ``transport.py``."""
