"""Reads files of texts in the forms that people have them: one reader for all commands.

:class:`Source` gives the rows of a file (:mod:`barometer.files.source`), :class:`Mapper` takes fields out of rows
(:mod:`barometer.files.mapping`), :func:`previewed_rows` reports beforehand which columns are taken for what, and
refuses a file that has none (:mod:`barometer.files.preview`). Nothing is left out in silence: a row that cannot be read
comes as an error in its place, which names file and line; values that are dropped are counted.
"""

from barometer.files.rows import FORMATS, STDIN, BadRow, FileRow, Form, Rows
from barometer.files.source import Source, read_rows

__all__ = ["FORMATS", "STDIN", "BadRow", "FileRow", "Form", "Rows", "Source", "read_rows"]
