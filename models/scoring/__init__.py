"""Texts in, sentiment and topics out: the scorer, its backends, files, explanations."""
