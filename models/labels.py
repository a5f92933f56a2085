"""The list of topics, which is data (``topics.yaml``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from models.errors import ModelError

TOPICS_FILE = Path(__file__).with_name("topics.yaml")
_ID = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic with its names and descriptions in both languages."""

    id: str
    zh: str
    en: str
    description_zh: str = ""
    description_en: str = ""


def load_topics(path: str | Path | None = None) -> tuple[Topic, ...]:
    """The topics in the order of a model's output; ``None`` reads the list that comes with the package.

    Raises:
        ModelError: the file is missing or not a list of topics with unique ids and names in both languages.
    """
    file = Path(path) if path else TOPICS_FILE
    try:
        rows = yaml.safe_load(file.read_text("utf-8"))
    except OSError as e:
        raise ModelError(f"topics: cannot read {file}: {e.strerror}") from e
    except yaml.YAMLError as e:
        raise ModelError(f"topics: {file} is not valid YAML: {e}") from e
    if not isinstance(rows, list) or not rows:
        raise ModelError(f"topics: {file} must be a list of topics, each with id, zh and en")
    topics: list[Topic] = []
    for number, row in enumerate(rows, 1):
        try:
            topic = Topic(**row)
        except TypeError as e:
            raise ModelError(f"topics: {file}, entry {number}: needs id, zh, en; may have descriptions ({e})") from e
        if not isinstance(topic.id, str) or not _ID.fullmatch(topic.id):
            raise ModelError(
                f"topics: {file}, entry {number}: id {topic.id!r} must be lower-case letters, digits and _"
            )
        if any(topic.id == t.id for t in topics):
            raise ModelError(f"topics: {file}, entry {number}: id {topic.id!r} occurs twice")
        topics.append(topic)
    return tuple(topics)
