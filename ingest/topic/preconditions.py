"""Preconditions: the topic settings that keep texts as they are, and findings where they differ.

Asked of the broker (DescribeConfigs). A broker that does not answer that, or does not let us ask, is not refused: what
could not be looked at is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import structlog

from barometer.errors import BarometerError
from barometer.settings import Settings
from ingest.messages.limits import AHEAD_MS
from ingest.topic.description import Topic, look
from ingest.topic.topics import LONGEST
from ingest.topic.wording import span, utc

log = structlog.get_logger(__name__)

REQUEST_BYTES = 1_048_588
"""Kafka's default for the largest batch; kafka-python sends no larger record."""
LETTER_BYTES = 131_072
"""A copy of a dead letter: 64 KB of its value, its key and headers."""

Level = Literal["problem", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a topic that is not as it should be. ``problem``: texts are lost, refused or dated wrongly;
    ``note``: under some circumstances, which the text says."""

    topic: str
    name: str
    found: str
    needed: str
    why: str
    remedy: str
    level: Level

    @property
    def text(self) -> str:
        """In one line, with the remedy."""
        return f"topic {self.topic}: {self.name} is {self.found}, needed {self.needed}: {self.why}. {self.remedy}"

    def as_json(self) -> dict[str, str]:
        """For the store and for ``barometer status --json``."""
        return {**asdict(self), "text": self.text}


# --- what is judged --------------------------------------------------------------------------------------------------


def check(settings: Settings, topics: Sequence[Topic]) -> list[Finding]:
    """What is not as it should be, problems first."""
    found = [f for t in topics for f in _check(settings, t)]
    return sorted(found, key=lambda f: f.level != "problem")


def _check(settings: Settings, t: Topic) -> list[Finding]:
    letters = t.name == settings.topic_dlq
    out = []
    if t.stamps:
        why = "the broker puts its own time in place of the texts'"
        out.append(_finding(t, "message.timestamp.type", "CreateTime", why, "problem"))
    policy = t.configs.get("cleanup.policy", "")
    if "compact" in policy:
        why = "texts that share a key delete each other, and records without a key are refused"
        if not letters and settings.progress_from == "records":
            why += ", progress records among them: no bucket is ever sealed"
        out.append(_finding(t, "cleanup.policy", "delete", why, "problem"))
    out += _copies(t)
    least = LETTER_BYTES if letters else REQUEST_BYTES
    largest = t.number("max.message.bytes")
    if largest is not None and largest < least:
        out.append(_finding(t, "max.message.bytes", str(least), "larger records are refused", "note"))
    if letters:
        return out  # their times are the present, and nobody reads them but other systems
    out += _times(t)
    size = t.number("retention.bytes")
    if size is not None and size >= 0:
        why = "a partition's oldest texts are deleted beyond that size, read or not"
        out.append(_finding(t, "retention.bytes", "-1", why, "note"))
    return out


def _times(t: Topic) -> list[Finding]:
    out = []
    kept = t.number("retention.ms")
    if kept is not None and kept >= 0:
        why = f"texts that nobody reads for {span(kept)} are lost, and an archive older than that is deleted on arrival"
        out.append(_finding(t, "retention.ms", "-1", why, "note"))
    before, after = t.number("message.timestamp.before.max.ms"), t.number("message.timestamp.after.max.ms")
    if t.stamps:
        return out
    if before is not None and before < int(LONGEST):
        why = f"texts older than {span(before)} are refused, each with its whole batch"
        out.append(_finding(t, "message.timestamp.before.max.ms", LONGEST, why, "note"))
    if after is not None and after < AHEAD_MS:
        why = f"texts whose source's clock is more than {span(after)} ahead are refused, each with its whole batch"
        out.append(_finding(t, "message.timestamp.after.max.ms", str(AHEAD_MS), why, "note"))
    return out


def _copies(t: Topic) -> list[Finding]:
    out = []
    least = t.number("min.insync.replicas")
    if least is not None and least > t.replicas:
        # Kafka 4.4 then asks for as many as there are; others may refuse to write.
        why = f"a partition has {_count(t.replicas, 'copy', 'copies')}"
        out.append(_finding(t, "min.insync.replicas", f"at most {t.replicas}", why, "note", value=str(t.replicas)))
    elif least is not None and t.in_sync < least <= t.replicas:
        why = "until the brokers with the other copies are back, nothing can be written"
        remedy = "Start the brokers that are away"
        out.append(Finding(t.name, "in-sync replicas", str(t.in_sync), str(least), why, remedy, "problem"))
    elif least == 1 and t.replicas > 2:
        why = "a text that was acknowledged is lost with one broker if the other copies lag"
        out.append(_finding(t, "min.insync.replicas", "2", why, "note"))
    if t.replicas == 1 and t.brokers > 1:
        why = "what is on a broker's disk is lost with it"
        remedy = (
            f"kafka-reassign-partitions.sh --bootstrap-server {t.bootstrap} --execute --reassignment-json-file FILE; "
            "for topics that Barometer makes: topic_replication (BAROMETER_TOPIC_REPLICATION)"
        )
        out.append(Finding(t.name, "replication factor", "1", str(min(3, t.brokers)), why, remedy, "note"))
    if t.configs.get("unclean.leader.election.enable") == "true" and t.replicas > 1:
        why = "a copy that lags may become the leader, and what it lacks is lost"
        out.append(_finding(t, "unclean.leader.election.enable", "false", why, "note"))
    return out


def _finding(t: Topic, name: str, needed: str, why: str, level: Level, *, value: str | None = None) -> Finding:
    found = t.configs[name]
    number = t.number(name)
    if name.endswith(".ms") and number is not None:
        found += f" ({span(number)})"
    return Finding(t.name, name, found, needed, why, _command(t, name, value or needed), level)


def _command(t: Topic, name: str, value: str) -> str:
    return (
        f"kafka-configs.sh --bootstrap-server {t.bootstrap} --alter --entity-type topics --entity-name {t.name} "
        f"--add-config {name}={value}"
    )


# --- an archive ------------------------------------------------------------------------------------------------------


def check_archive(t: Topic, first_ms: int | None, size: int, now_ms: int) -> list[Finding]:
    """What of a topic's retention would delete an archive as it is imported.

    Args:
        first_ms: the earliest of its times.
        size: bytes of all its records.
    """
    out = []
    kept, most = t.number("retention.ms"), t.number("retention.bytes")
    if "delete" not in t.configs.get("cleanup.policy", "delete"):
        return []
    if kept is not None and kept >= 0 and first_ms is not None and first_ms < now_ms - kept and not t.stamps:
        why = f"the broker deletes records older than {span(kept)}, and the archive begins {utc(first_ms)}"
        out.append(_finding(t, "retention.ms", "-1", why, "problem"))
    if most is not None and most >= 0 and size > most * t.partitions:
        places = _count(t.partitions, "partition", "partitions")
        why = f"the archive has {size:,} bytes, and {places} keep so many each"
        out.append(_finding(t, "retention.bytes", "-1", why, "problem"))
    return out


def _count(n: int, one: str, more: str) -> str:
    return f"{n:,} {one if n == 1 else more}"


_told: set[str] = set()


def tell_of_topics(settings: Settings) -> None:
    """Say in the log, once in the life of this process, what is not as it should be. Raises nothing: whoever needs the
    broker finds out by himself that it is away."""
    try:
        topics = look(settings, settings.topic_documents, settings.topic_dlq)
    except BarometerError as e:
        log.debug("the topics' settings could not be looked at", error=str(e))
        return
    for text in [t.unchecked for t in topics if t.unchecked is not None]:
        if text not in _told:
            _told.add(text)
            log.info(text)
    for f in check(settings, topics):
        if f.text not in _told:
            _told.add(f.text)
            say = log.error if f.level == "problem" else log.warning
            words = {"found": f.found, "needed": f.needed, "why": f.why, "remedy": f.remedy}
            say("a setting of the topic", topic=f.topic, name=f.name, **words)


def report(settings: Settings, *, timeout_ms: int = 15_000) -> dict[str, Any]:
    """The settings of our topics as plain JSON values: findings, and what could not be checked.

    Raises:
        BarometerError: no broker answers.
    """
    topics = look(settings, settings.topic_documents, settings.topic_dlq, timeout_ms=timeout_ms)
    return {
        "findings": [f.as_json() for f in check(settings, topics)],
        "unchecked": [t.unchecked for t in topics if t.unchecked is not None],
    }
