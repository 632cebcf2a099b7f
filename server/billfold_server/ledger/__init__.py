"""The ledger: accounts, journal entries, postings, holds, and the engine that alone moves money."""
