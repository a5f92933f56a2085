"""Closing buckets: progress records, promises, sealing."""
