"""Messages posted to a product's URL."""
