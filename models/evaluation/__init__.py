"""Measures, reports and agreement of readers."""
