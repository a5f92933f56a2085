"""Dead letters: list, replay, and the copy for other systems."""
