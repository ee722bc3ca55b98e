"""Building mail: addresses, headers, messages."""
