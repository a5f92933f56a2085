"""Which batches may still be written: those of the present generation, unless one of it was refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Generations:
    """Shared by the poll loop, which begins generations, and the stages. A generation is what was read between two
    changes of the positions; batches of an older one are dropped."""

    def __init__(self) -> None:
        self.current = -1
        self._refused = -1
        self._commit = threading.Lock()
        """Held over a commit: the generation changes only between two."""

    def begin(self, generation: int, timeout: float) -> bool:
        """From now on only batches of this generation are written.

        Returns:
            False: a commit is still under way after ``timeout`` seconds, and nothing has changed.
        """
        if not self._commit.acquire(timeout=timeout):
            return False
        self.current = generation
        self._commit.release()
        return True

    def writable(self, generation: int) -> bool:
        """Whether batches of this generation may be written."""
        return generation == self.current and generation > self._refused

    def refuse(self, generation: int) -> None:
        """A batch was refused: those behind it were read on from where it ended, and would be refused, too."""
        self._refused = generation

    @contextmanager
    def commit(self, generation: int) -> Iterator[bool]:
        """Hold the generation over a commit; gives whether it may be written."""
        with self._commit:
            yield self.writable(generation)
