"""The asynchronous half of ``billfold.auth``, from which the synchronous one is generated."""
