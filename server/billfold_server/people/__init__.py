"""People: who signs in with a browser, by which factors, in which sessions, and the pages that they see."""
