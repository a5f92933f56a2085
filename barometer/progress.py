"""Progress records let buckets close: one in every partition says that nothing older than t - lateness follows."""

from __future__ import annotations

import orjson

from barometer.records import PROGRESS_HEADER


def progress_record(t: int, writer: str, term: int) -> tuple[list[tuple[str, bytes]], bytes]:
    """Headers and value of a progress record.

    Args:
        t: epoch ms.
        writer: who says so, for people.
        term: of the lease under which it is written.
    """
    return [(PROGRESS_HEADER, b"1")], orjson.dumps({"t": t, "writer": writer, "term": term})
