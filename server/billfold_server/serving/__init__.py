"""Running the server: one parent process, its workers, and the database that it may own.

``service`` is what ``billfold up`` does, from the first check to the last process that ends. ``database`` finds and
prepares PostgreSQL for it and for every other command. ``doctor`` looks at all of it without serving.
"""
