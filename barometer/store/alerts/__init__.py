"""Alerts: their rows, life cycle, handling, incidents, silences, evidence."""
