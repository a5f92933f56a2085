"""Telegram: HTML by a bot."""
