"""The checks of `waypost doctor`."""
