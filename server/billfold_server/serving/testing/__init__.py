"""The platform for the tests of programs that use it: what ``billfold.testing`` finds by its entry point."""
