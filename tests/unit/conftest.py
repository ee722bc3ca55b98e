"""Unit tests are pure: no server, no database, and the same examples every time."""

from hypothesis import settings

settings.register_profile("unit", deadline=None, max_examples=80, database=None, derandomize=True)
settings.load_profile("unit")
