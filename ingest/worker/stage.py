"""The contract of a stage of the worker's pipeline."""

from __future__ import annotations

from typing import Protocol, TypeVar

Item_contra = TypeVar("Item_contra", contravariant=True)


class Stage(Protocol[Item_contra]):
    """Works on items in a thread of its own, in the order they were submitted, and hands on each when it is done.
    A pipeline of stages is itself a stage.

    All methods are for one caller (the poll loop) and from its thread; none but :meth:`submit`, :meth:`drain` and
    :meth:`close` waits, and these never longer than they are told.
    """

    def start(self) -> None:
        """Begin to work; what was submitted before is worked on now."""

    def submit(self, item: Item_contra, timeout: float) -> bool:
        """Hand over an item.

        Args:
            timeout: seconds to wait for room.

        Returns:
            True: the item is the stage's now. False: there was no room, or the stage has failed or is closed; the item
            is still the caller's, who may submit it again.
        """

    def poll(self) -> None:
        """Look after the stage; called at each turn of the caller's loop.

        Raises:
            Exception: what ended the stage's thread. It is raised at every call from then on.
        """

    def drain(self, timeout: float) -> bool:
        """Wait until everything that was submitted has been worked on and handed on. The stage takes items afterwards.

        Returns:
            False: something is left after ``timeout`` seconds, or the stage has failed.
        """

    def close(self, timeout: float) -> None:
        """End the thread: work on nothing more, and drop what was submitted and is not begun. What is under way may
        still finish, for ``timeout`` seconds before this returns. Closing twice changes nothing."""
