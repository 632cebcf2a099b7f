"""The asynchronous half of ``billfold.consents``, from which the synchronous one is generated."""
