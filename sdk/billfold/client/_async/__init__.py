"""The asynchronous client. From it, the synchronous one is generated."""
