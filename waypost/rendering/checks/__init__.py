"""Checks of a type's rendered sample: what makes a mail bad before anybody sends it."""
