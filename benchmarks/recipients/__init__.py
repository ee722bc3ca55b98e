"""What recipients chose, among a million of them."""
