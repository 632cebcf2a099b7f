"""The keys by which a realm signs: made, published before they sign, replaced on schedule, and removed."""
