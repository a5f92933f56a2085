"""What can be wrong with a model, a recipe or a set."""

from __future__ import annotations

from barometer.errors import BarometerError

REMEDY = "copy the folder anew, or export it again with `barometer export`"
"""What to do about a model folder with a file that is missing, damaged, or another model's."""


class ModelError(BarometerError):
    """A model folder is missing a file, or its files contradict each other; the message names the file."""


class TrainingDataError(BarometerError):
    """A recipe or a labelled set cannot be used; the message names the file and what is wrong in it."""
