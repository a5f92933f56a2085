"""The words and codes that all parts share: languages, kinds, sentiments, severities, states, levels, steps, roles.

Each list stands here once: as a type for checkers and for the API's schema, and as a tuple in its order, whose index is
the rank (severities and levels: the gravest last) or the stored code (kinds, sentiments).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Literal, get_args

Lang = Literal["zh", "en"]
LANGUAGES: tuple[Lang, ...] = get_args(Lang)
"""Of the screens and messages, and those that a model may be trained for."""

# --- texts -----------------------------------------------------------------------------------------------------------


class Kind(IntEnum):
    """The sort of a text; news and comments are counted and judged separately."""

    UNKNOWN = 0
    NEWS = 1
    COMMENT = 2

    @property
    def label(self) -> str:
        """``unknown``, ``news``, ``comment``: the name in messages, files, URLs and the API."""
        return self.name.lower()


class Sentiment(IntEnum):
    """The classes of sentiment, in the order of the model's output."""

    NEGATIVE = 0
    NEUTRAL = 1
    POSITIVE = 2

    @property
    def label(self) -> str:
        """``negative``, ``neutral``, ``positive``: the name in files, URLs and the API."""
        return self.name.lower()


KindName = Literal["unknown", "news", "comment"]
KINDS: tuple[KindName, ...] = get_args(KindName)
"""The index is the stored code, and the model's input."""
KIND_CODES: tuple[int, ...] = tuple(int(kind) for kind in Kind)
StatedKind = Literal["news", "comment"]
STATED_KINDS: tuple[StatedKind, ...] = get_args(StatedKind)
"""The kinds that a message, a rule or a filter can state."""
SentimentName = Literal["negative", "neutral", "positive"]
SENTIMENTS: tuple[SentimentName, ...] = get_args(SentimentName)
"""The index is the stored code."""


def stated_kind(code: int) -> StatedKind | None:
    """The name of a stored kind; None where it is not known.

    >>> [stated_kind(k) for k in Kind]
    [None, 'news', 'comment']
    """
    return STATED_KINDS[code - 1] if code else None


# --- alerts ----------------------------------------------------------------------------------------------------------

AlertType = Literal["surge", "rule", "system"]
"""Raised by the detector, by a red-line rule, by a check of the product itself."""
ALERT_TYPES: tuple[AlertType, ...] = get_args(AlertType)
AlertState = Literal["firing", "acknowledged", "resolved"]
ALERT_STATES: tuple[AlertState, ...] = get_args(AlertState)
OPEN_STATES: tuple[AlertState, ...] = ALERT_STATES[:2]
Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
NotifiedSeverity = Literal["warning", "critical"]
"""People are notified from ``warning`` on; ``info`` is on the screens only."""
NOTIFIED_SEVERITIES: tuple[NotifiedSeverity, ...] = get_args(NotifiedSeverity)
Level = Literal["ordinary", "major", "grave"]
"""一般, 较大, 重大: how grave a matter is, as people or rules say."""
LEVELS: tuple[Level, ...] = get_args(Level)
HandlingStep = Literal["assess", "respond", "report", "review"]
"""研判, 处置, 报告, 总结: what the rules for banks on reputational risk ask for."""
STEPS: tuple[HandlingStep, ...] = get_args(HandlingStep)
Resolution = Literal["real", "known", "other", "false_alarm"]
RESOLUTIONS: tuple[Resolution, ...] = get_args(Resolution)
FalseAlarmReason = Literal["mislabelled", "irrelevant", "old", "advertisement", "copies"]
"""Texts were not negative; true, but of no concern; an old story; advertising; one text, many times."""
FALSE_ALARM_REASONS: tuple[FalseAlarmReason, ...] = get_args(FalseAlarmReason)

# --- people ----------------------------------------------------------------------------------------------------------

Role = Literal["viewer", "analyst", "admin"]
"""Each may do what those before it may."""
ROLES: tuple[Role, ...] = get_args(Role)
