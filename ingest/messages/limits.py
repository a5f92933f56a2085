"""Limits of the message contract; the others are in :mod:`barometer.records`, with what is stored."""

from __future__ import annotations

MAX_VALUE_BYTES = 32 << 20
"""A longer value is not looked into."""
MAX_EXTRA_BYTES = 1 << 20
"""Unknown fields together, as JSON."""
MAX_DEPTH = 64
"""Levels of nesting; the store's JSON has limits of its own (orjson writes 254)."""
MAX_LENGTHS = {"id": 500, "source": 200, "title": 1_000, "url": 8_000}
"""Characters; what is longer is cut and flagged. Identities are hashed from the whole."""
MAX_SYMBOL = 64
"""Characters of a symbol."""
MAX_COUNTS = 32
"""Names of counts in ``engagement``."""
MAX_COUNT = (1 << 63) - 1
AHEAD_MS = 3_600_000
"""How far a record's time may be ahead of the clock."""
PROGRESS_LEAD_MS = AHEAD_MS + 86_400_000
"""Progress may lead its own record's time by the lateness, which is a day at most, and by as far as records may be
ahead."""
