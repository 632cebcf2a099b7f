"""Wallets, their aliases, transfers, top-ups and withdrawals."""
