"""How the server calls strangers: endpoints whose addresses partners have given."""
