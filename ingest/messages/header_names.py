"""Header names that are not UTF-8, which other clients may write: kafka-python gives up on the whole partition over
one, so they are read with U+FFFD in the place of what is wrong."""

from __future__ import annotations

from typing import Any

from kafka.record.default_records import DefaultRecordBatch


class _Slice(bytes):
    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:  # noqa: ARG002
        return super().decode(encoding, "replace")


class _Tolerant(bytearray):
    """A buffer whose slices decode whatever they hold."""

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return _Slice(found) if isinstance(index, slice) else found


class _Reader:
    """In the place of ``DefaultRecordBatch._read_msg``; the slow buffer is for batches that need it."""

    original = staticmethod(DefaultRecordBatch._read_msg)

    @staticmethod
    def read(batch: Any) -> Any:
        try:
            return _Reader.original(batch)
        except UnicodeDecodeError:  # the batch stands where the record begins
            batch._buffer = _Tolerant(batch._buffer)
            return _Reader.original(batch)


def accept_any_header_names() -> None:
    """For all consumers of this process; calling it again changes nothing."""
    DefaultRecordBatch._read_msg = _Reader.read
