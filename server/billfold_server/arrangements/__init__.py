"""Arrangements: what has been arranged for wallets beside their money, and the products that wallets are of."""
