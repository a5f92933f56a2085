"""Counts over time: sealed buckets, totals and points of a series."""
