"""Give examples of properties as long as they take: on a machine that others use, too, that says nothing of the code.

Hypothesis stops at an example of 200 ms, which one that waits for a processor may well take. In CI it has no such limit
by itself, and takes the same examples each time.
"""

from hypothesis import settings

if settings.default is not None and settings.default.deadline is not None:
    settings.register_profile("patient", settings.default, deadline=None)
    settings.load_profile("patient")
