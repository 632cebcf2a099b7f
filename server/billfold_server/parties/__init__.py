"""Parties: the people and companies that own wallets, and the subjects of keys and erasure."""
