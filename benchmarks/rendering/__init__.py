"""What rendering costs."""
