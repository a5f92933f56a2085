"""Backup and restore of both databases."""
