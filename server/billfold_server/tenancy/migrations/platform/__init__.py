"""The steps of the platform's schema."""
