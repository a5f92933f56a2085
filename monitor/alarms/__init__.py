"""Alarms about Barometer itself: lag, silent sources, missing leaders."""
