"""The synchronous half of ``billfold.testing``, which is generated."""
