"""The asynchronous half of ``billfold.testing``, from which the synchronous one is generated."""
