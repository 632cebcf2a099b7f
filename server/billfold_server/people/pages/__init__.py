"""The page kit: pages for people under a tenant's brand, for every room that shows some."""
