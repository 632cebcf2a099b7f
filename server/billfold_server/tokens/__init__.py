"""Vault tokens: what stands for card numbers, bank accounts and personal data in every other room."""
