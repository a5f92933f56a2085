"""What was read: positions, identities, the worker's transaction, sources, the watermark."""
