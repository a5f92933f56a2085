"""Language detection and traditional characters."""
