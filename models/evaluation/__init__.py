"""Figures on labelled sets, their report, a baseline to beat, and the agreement of readers."""
