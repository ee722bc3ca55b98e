"""The work queue: claims, leases, attempts and outcomes."""
