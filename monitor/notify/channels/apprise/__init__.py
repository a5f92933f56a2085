"""Apprise: any of the services that the library knows, by its URL."""
