"""Values: frozen, without IO and without policy."""
