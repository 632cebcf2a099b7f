"""The synchronous half of ``billfold.consents``, which is generated."""
