"""Files of texts as the world writes them: one reader for all commands.

:class:`Source` gives the rows of a file (:mod:`barometer.files.source`), :class:`Mapper` takes fields out of rows
(:mod:`barometer.files.mapping`), :func:`looked_at` says beforehand what is taken for what, and refuses what cannot be
meant (:mod:`barometer.files.look`). Nothing is left out in silence: a row that cannot be read comes as an error in its
place, which names file and line; values that are dropped are counted.
"""

from barometer.files.rows import FORMATS, STDIN, BadRow, FileRow, Form, Rows
from barometer.files.source import Source, read_rows

__all__ = ["FORMATS", "STDIN", "BadRow", "FileRow", "Form", "Rows", "Source", "read_rows"]
