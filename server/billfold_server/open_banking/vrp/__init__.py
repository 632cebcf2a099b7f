"""Variable recurring payments in the words of the UK's Read/Write API, version 4.0."""
