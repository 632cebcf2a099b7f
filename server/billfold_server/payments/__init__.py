"""Payments: money that third parties order to move out of wallets, under consents, inside or by a bank's rail."""
