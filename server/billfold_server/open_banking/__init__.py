"""The UK's open banking interface, Read/Write API v4.0, over the platform's own wallets, consents and payments."""
