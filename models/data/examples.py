"""One labelled text, as training and measuring use it, whatever set it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Example:
    """One labelled text."""

    text: str
    kind: str
    lang: str
    source: str
    """Name of its set."""
    sentiment: tuple[int, ...] = ()
    """Classes that the label allows; empty: the set says nothing of sentiment."""
    sentiment_weight: float = 1.0
    topics: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Topic → (1 affirmed or 0 absent, weight); a topic that is not here is masked."""
    title: str | None = None
    weak: bool = False
    """The sentiment is a rule's, not a person's: never used to measure."""
    votes: tuple[float, float, float] | None = None
    """Several annotators' labels as shares of the classes (they sum to 1): a soft label for training."""
    one_of: tuple[str, ...] = ()
    """The topics of which its set chose exactly one; empty where a text may have any number."""
