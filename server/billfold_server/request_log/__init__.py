"""What programs have asked of a tenant and what they were answered, kept for some days without anybody's data."""
