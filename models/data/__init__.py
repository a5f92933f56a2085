"""Labelled sets: others' and our own, composed texts, near-copy groups."""
