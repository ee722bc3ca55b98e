"""Codes and links that prove an address."""
