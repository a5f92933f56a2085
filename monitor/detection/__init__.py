"""The detector of negative surges, and what feeds it."""
