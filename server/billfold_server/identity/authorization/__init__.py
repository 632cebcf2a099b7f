"""What leads from a client's request, through the browser of whoever is asked, to an authorization code."""
