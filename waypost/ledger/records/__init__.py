"""What is kept beside notifications, a file per table."""
