"""Why the model said so, worked out when somebody asks.

The network is loaded by the first question and once a process; one text is explained at a time, the others wait for a
moment and are told so if it takes long. What was explained is remembered. The screens need no model otherwise: where
there is none, or ``explain_texts`` is off, they say that.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from barometer.store.documents.keys import Key
from barometer.store.documents.listing import Text, texts_of
from barometer.vocabulary import stated_kind
from dashboard.context import context

MOST_PARTS = 12
WAIT_SECONDS = 5.0
_REMEMBERED = 256


class NoExplanation(Exception):
    """There is none; ``code`` is the text ``why.CODE`` of the screens, ``detail`` says more to the operator."""

    def __init__(self, code: str, detail: str = "") -> None:
        self.code, self.detail = code, detail
        super().__init__(f"{code} {detail}".strip())


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the text; ``effect``: log-odds that it adds to the label. None: the network does not read it."""

    text: str
    effect: float | None


@dataclass(frozen=True, slots=True)
class Why:
    """An explanation, and the label that it is of."""

    parts: tuple[Part, ...]
    sentiment: int
    probabilities: tuple[float, float, float]
    topics: tuple[str, ...]
    model: str
    said_by: str | None
    """The model that labelled the text; the explanation is of :attr:`model`."""
    said: int | None


class Explainer:
    """The one network of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scorer: Any = None
        self._broken: str | None = None
        self._known: OrderedDict[tuple[Key, str], Why] = OrderedDict()

    def why(self, text: Text, key: Key) -> Why:
        """Explain a document.

        Raises:
            NoExplanation: there is no model, the text is not scored, or too many ask at once.
        """
        if not self._lock.acquire(timeout=WAIT_SECONDS):
            raise NoExplanation("busy")
        try:
            scorer = self._load()
            found = self._known.get((key, scorer.version))
            if found is None:
                found = _explain(scorer, text)
                self._known[key, scorer.version] = found
                while len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
            return found
        finally:
            self._lock.release()

    def _load(self) -> Any:
        if self._scorer is None:
            if self._broken is not None:
                raise NoExplanation("off_model", self._broken)
            try:
                from models.scoring.scorer import load_scorer

                self._scorer = load_scorer(context().settings.model_path, threads=1)
            except Exception as e:  # a library that is missing, a file that is not what it should be
                self._broken = str(e)[:300]
                raise NoExplanation("off_model", self._broken) from e
        return self._scorer


_EXPLAINER = Explainer()


def why(key: Key) -> Why:
    """Why the model said what it said of a document.

    Raises:
        NoExplanation: and why not.
    """
    ctx = context()
    if not ctx.settings.explain_texts:
        raise NoExplanation("off_setting")
    with ctx.store.read() as c:
        found = texts_of(c, [key], whole=True)
    if not found:
        raise NoExplanation("gone")
    return _EXPLAINER.why(found[0], key)


def _explain(scorer: Any, text: Text) -> Why:
    from models.scoring.explain import explain

    found = explain(scorer, text.text, stated_kind(text.kind), text.lang, text.title, MOST_PARTS, clauses=True)
    result = found.result
    if result.sentiment is None or result.sentiment_probabilities is None:
        raise NoExplanation("unscored")
    parts: list[Part] = []
    at = 0
    for p in found.parts:
        if p.start > at:
            parts.append(Part(found.line[at : p.start], 0.0))
        parts.append(Part(p.text, round(p.sentiment[result.sentiment], 3)))
        at = p.end
    if at < len(found.line):
        rest = found.line[at:]
        parts.append(Part(rest, None if len(rest.strip()) > 1 else 0.0))
    return Why(
        tuple(parts),
        result.sentiment,
        result.sentiment_probabilities,
        result.topics,
        scorer.version,
        text.model,
        text.sentiment,
    )
