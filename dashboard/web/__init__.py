"""Serving: gunicorn, compression, a path in front, health and metrics."""
