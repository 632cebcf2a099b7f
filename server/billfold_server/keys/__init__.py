"""Keys: what this deployment keeps secret, and how private keys lie in the database."""
