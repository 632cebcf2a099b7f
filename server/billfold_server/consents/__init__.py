"""Consents: what a customer has allowed a licensed third party, for what, until when, and what became of it."""
