"""The contract tests: the document and the server hold each other to their word."""
