"""The mails of types as they will look, on a page and as pictures, by the renderer that sends them."""
