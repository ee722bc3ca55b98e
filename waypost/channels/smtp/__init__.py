"""Mail over a pool of SMTP connections."""
