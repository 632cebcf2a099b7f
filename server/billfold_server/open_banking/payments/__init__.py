"""Domestic payments: consents for one payment each, whether there is money, and the payments."""
