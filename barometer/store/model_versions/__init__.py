"""Model versions: short ids, and what the screens read about them."""
