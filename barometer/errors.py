"""Errors that a person can act on: the message names the file, line, field or setting and what to do."""

from __future__ import annotations


class BarometerError(Exception):
    """Base of all errors whose message is meant for a person; the command line prints it without a traceback."""


class SettingsError(BarometerError):
    """A setting is missing, malformed, or contradicts what the store was made with."""


class StoreError(BarometerError):
    """The store cannot be opened, is at another revision, or refuses what was asked of it."""


class LogReplaced(BarometerError):
    """The log under the store is not the one that the stored offsets were read from.

    Raised when the broker's cluster id differs, or a stored offset is no longer in the log. Never answered by a
    silent restart: an operator accepts the loss with ``barometer log accept``.
    """


class StaleWrite(BarometerError):
    """Another writer was first: a partition's offset or a lease's term is not what this writer expected.

    The transaction was rolled back; the caller reads the store again and goes on with what is still its own.
    """
