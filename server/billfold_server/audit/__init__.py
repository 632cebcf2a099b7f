"""The audit trail: who did what, on which object, why, and in which request."""
