"""Red-line rules: the leader's part, and the command that tests them."""
