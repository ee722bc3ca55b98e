"""Mail: addresses, headers, messages, signatures."""
