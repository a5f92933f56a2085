"""Rows of files as records.

Nothing is left out in silence: a row that cannot be sent at all is an error that names file and line, or is counted and
listed where the caller asks for that. What can be sent is sent as it is; the worker says what is wrong with it.
"""

from __future__ import annotations

from barometer.files import BadRow, FileRow
from barometer.files.mapping import Columns, Mapper, parse_pairs
from ingest.messages.encoding import encode
from ingest.producing.produce import Record

__all__ = ["Columns", "Records", "parse_pairs"]


class Records(Mapper):
    """Turns rows into records."""

    def record(self, row: FileRow) -> Record:
        """The row as a record; it has the row's time where ``time_column`` is given.

        Raises:
            BadRow: no usable time, two fields of one name, or no form in JSON.
            BarometerError: the same for all rows: a table has no such column, or two for one field.
        """
        fields = self.fields(row)
        time_ms = None if self.columns.time_column is None else self.time(row)
        try:
            return Record(time_ms, *encode(fields), row.where)
        except (TypeError, ValueError, RecursionError) as e:
            raise BadRow(f"{row.where}: cannot be written as JSON: {e}") from None
