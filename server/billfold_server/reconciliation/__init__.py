"""Reconciliation: what banks and payment providers say happened, set against what the ledger says."""
