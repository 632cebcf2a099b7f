"""Account information of open banking: what a consent lets a third party read of a customer's wallets.

``rules`` says what an operation takes and ``service`` reads it; each of the other modules turns one kind of thing into
the words of the standard, member by member as the consent's permissions allow.
"""
