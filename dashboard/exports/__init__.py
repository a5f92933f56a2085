"""Files to download: documents and labels."""
