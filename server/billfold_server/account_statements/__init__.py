"""Account statements: what was booked to wallets, month by month, made once and never changed."""
