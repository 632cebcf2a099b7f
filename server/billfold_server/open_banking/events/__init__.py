"""What third parties are told of their consents and payments: subscriptions, polling, and tokens that are pushed."""
