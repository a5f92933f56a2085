"""Texts as the screens read them: lists, and one with all that belongs to it."""
