"""Mail into a Maildir."""
