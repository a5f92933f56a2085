"""Batches that cannot be unpacked. A broker that doesn't look into what it is sent keeps a batch whose compressed bytes
are broken while its checksum is right; kafka-python then raises at every poll, and nothing behind it is ever read.

Here every record that such a batch should have held is read as one without a text, with the header
``barometer-broken-batch``: the decoder makes a dead letter of it, and reading goes on behind the batch. A wrong
checksum is left alone: the bytes may have been damaged on the way, so they are fetched again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kafka.errors import UnsupportedCodecError
from kafka.record.default_records import DefaultRecord, DefaultRecordBatch

from barometer.records import BROKEN_BATCH_HEADER

MOST = 100_000
"""A header that claims more records than this lies."""


class _Reader:
    """In the place of ``DefaultRecordBatch.__iter__``."""

    unpack = staticmethod(DefaultRecordBatch.__iter__)

    @staticmethod
    def read(batch: Any) -> Iterator[Any]:
        packed, begin = batch._buffer, batch._pos
        after, last, given = batch.base_offset, batch.last_offset, 0
        try:
            _Reader.unpack(batch)
            while (record := next(batch, None)) is not None:
                if not after <= record.offset <= last:
                    raise ValueError(f"offset {record.offset} in a batch of {batch.base_offset} to {last}")
                yield record
                after, given = record.offset + 1, given + 1
        except UnsupportedCodecError:
            raise  # nothing is wrong with the batch: a package is missing
        except Exception as e:
            why, payload = f"{type(e).__name__}: {e}"[:200].encode(), bytes(memoryview(packed)[begin:])
            for offset in range(after, min(last + 1, after + max(1, batch.records_count - given), after + MOST)):
                yield DefaultRecord(
                    0, offset, batch.first_timestamp, batch.timestamp_type, None, payload, [(BROKEN_BATCH_HEADER, why)]
                )
                payload = b""  # one letter keeps it


def accept_broken_batches() -> None:
    """For all consumers of this process; calling it again changes nothing."""
    DefaultRecordBatch.__iter__ = _Reader.read
