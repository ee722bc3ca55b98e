"""Errors of the operating system, in its own words."""

from __future__ import annotations

import os
from socket import gaierror


def words_of(error: OSError) -> str:
    """What the system says, without what Python adds to it: "Address already in use"."""
    if error.errno and not isinstance(error, gaierror):  # a resolver's numbers are its own
        return os.strerror(error.errno)
    return error.strerror or str(error)
