"""The Billfold reference server."""
