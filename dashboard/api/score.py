"""Labelling texts on demand, with the model that workers use; the same answers as ``barometer score``."""

from __future__ import annotations

import threading
from typing import Any

import structlog
from flask import current_app
from pydantic import Field

from barometer.records import MAX_TEXT
from barometer.vocabulary import KindName, SentimentName
from dashboard.api.contract import Contract
from dashboard.api.errors import Unavailable
from dashboard.api.shapes import Answer, Asked, Probabilities
from dashboard.context import context
from dashboard.services.acts import Malformed

log = structlog.get_logger(__name__)
TAG = "Score"
MOST = 100
MOST_CHARACTERS = 200_000
"""Of all texts of a request: a second or two of a processor."""
_KEY = "barometer_scorer"


class TextIn(Asked):
    text: str = Field(description=f"beyond {MAX_TEXT} characters it is cut")
    kind: KindName | None = None
    lang: str | None = Field(None, max_length=20, description="left out: found out")
    title: str | None = Field(None, max_length=MAX_TEXT)


class Texts(Asked):
    texts: list[TextIn] = Field(min_length=1, max_length=MOST)


class Result(Answer):
    """What ``barometer score`` prints of a text."""

    scored: bool
    reason: str | None = Field(description="why it is unscored: language:ja, text_empty")
    lang: str
    sentiment: SentimentName | None
    sentiment_probabilities: Probabilities | None
    topics: list[str] = Field(description="above their thresholds, the likeliest first")
    topic_probabilities: dict[str, float] | None
    model_version: str


class Results(Answer):
    results: list[Result] = Field(description="in the order of the texts")


class LazyScorer:
    """The model, loaded when it is asked for the first time. One request at a time works with it and one waits; the
    threads of the server are there for the screens."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._room = threading.BoundedSemaphore(2)
        self._scorer: Any = None

    def score(self, texts: list[TextIn]) -> list[dict[str, Any]]:
        """Raises:
        Unavailable: the model folder cannot be read, or others are at it.
        """
        from models.errors import ModelError
        from models.scoring.score_files import line_of, score_lines
        from models.scoring.scorer import load_scorer

        if not self._room.acquire(blocking=False):
            raise Unavailable("busy")
        try:
            with self._lock:
                settings = context().settings
                if self._scorer is None:
                    self._scorer = load_scorer(settings.model_path, settings.scorer_threads or None)
                lines = [line_of(t.model_dump(exclude_none=True)) for t in texts]
                return list(score_lines(self._scorer, lines))
        except ModelError as e:
            log.error("the model cannot be loaded", why=str(e))
            raise Unavailable("no_model") from None
        finally:
            self._room.release()


def register(contract: Contract) -> None:
    contract.blueprint.record(lambda setup: setup.app.extensions.setdefault(_KEY, LazyScorer()))

    @contract.call("POST", "/score", TAG, body=Texts, answer=Results)
    def score(body: Texts) -> Any:
        """Sentiment and topics of texts.

        Nothing of it is stored. The first call loads the model, which takes some seconds.
        """
        if sum(len(t.text) + len(t.title or "") for t in body.texts) > MOST_CHARACTERS:
            raise Malformed("too_much", field="texts", most=MOST_CHARACTERS)
        return {"results": current_app.extensions[_KEY].score(body.texts)}
