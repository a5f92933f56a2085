"""Barometer 舆情晴雨表: the ground floor (settings, records, buckets, store, metrics) and the command line."""

__version__ = "0.1.0"
