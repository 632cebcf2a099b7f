"""Payments: money that is ordered to move out of wallets, under consents or by the bank's own clients, and rails."""
