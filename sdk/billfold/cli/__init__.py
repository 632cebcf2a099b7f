"""The partner's command line: ``billfold login``, ``billfold wallets list``, ``billfold events tail``, and the rest.

It needs the extra ``cli``. Where the server is installed too, its command line mounts these commands beside its own.
What is here imports the client only once a command needs it, so that help and completion come at once.
"""
