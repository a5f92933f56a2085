"""The store's tables (SQLAlchemy 2, typed). The hot path uses them as Core tables through ``__table__``.

Conventions: times are UTC epoch milliseconds (BIGINT); a row of the log is one packed integer ``row_id`` (see
:func:`barometer.records.pack_row`); big tables are clustered by what they are read by and, on PostgreSQL,
partitioned by month of ``observed_at``. Migrations in ``migrations/`` create all this; a test compares the two.
"""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB, REAL
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class _TextOfJson(TypeDecorator[Any]):
    """JSON kept as it was written: the server neither takes it apart nor compresses it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, _dialect: Any) -> str | None:
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: Any, _dialect: Any) -> Any:
        return None if value is None else orjson.loads(value)


# For what is written often, read whole and never asked into. 2,000 detector states of 8 kB, each bucket: 0.3 s to
# PostgreSQL as text, 1.1 s as JSONB.
OpaqueJson = JSON(none_as_null=True).with_variant(_TextOfJson(), "postgresql")
Real = Float().with_variant(REAL(), "postgresql")
# SQLite makes an INTEGER PRIMARY KEY its row id, and only then counts up by itself.
AutoId = BigInteger().with_variant(Integer(), "sqlite")

# SQLite: short rows are clustered by their key; long ones (documents, dead letters) are better off beside an index.
LONG_BY_MONTH = {"postgresql_partition_by": "RANGE (observed_at)"}
BY_MONTH = {**LONG_BY_MONTH, "sqlite_with_rowid": False}
CLUSTERED = {"sqlite_with_rowid": False}
MONTHLY_TABLES = ("documents", "predictions", "search", "series_documents")


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {
        int: BigInteger,
        str: Text,
        float: Float,
        dict[str, Any]: Json,
        list[Any]: Json,
        bytes: LargeBinary,
    }


def _small(**kw: Any) -> Any:
    return mapped_column(SmallInteger, **kw)


class Meta(Base):
    """What the store was made with (bucket width, zone); a different setting is refused, not mixed in."""

    __tablename__ = "meta"
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class Log(Base):
    """One life of a topic: (cluster id, topic). A new one begins only when an operator accepts it."""

    __tablename__ = "logs"
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    cluster_id: Mapped[str]
    topic: Mapped[str]
    partitions: Mapped[int] = mapped_column(Integer, default=0)
    """Partitions seen so far; the watermark waits for all of them."""
    current: Mapped[bool] = mapped_column(Boolean, default=True)
    created_at: Mapped[int]
    replaced_reason: Mapped[str | None]
    """Set when a reader found the log replaced: everything waits for an operator."""


class Offset(Base):
    """Where reading stands in a partition, and what the records so far were. Written with the rows they cover."""

    __tablename__ = "offsets"
    __table_args__ = (CLUSTERED,)
    log_id: Mapped[int] = _small(primary_key=True)
    partition: Mapped[int] = _small(primary_key=True)
    next_offset: Mapped[int]
    progress_t: Mapped[int | None]
    """Largest t of a progress record so far."""
    progress_writer: Mapped[str | None]
    progress_term: Mapped[int | None]
    last_observed_at: Mapped[int | None]
    """Largest record time so far; for the weaker progress from timestamps."""
    high_water: Mapped[int | None]
    """The broker's end of the partition when it was last looked at: information, for lag."""
    leader_epoch: Mapped[int | None] = mapped_column(Integer)
    """Epoch of the partition's leader that wrote the record before ``next_offset`` (KIP-320); None: not known."""
    records: Mapped[int] = mapped_column(default=0)
    documents: Mapped[int] = mapped_column(default=0)
    repeats: Mapped[int] = mapped_column(default=0)
    dead_letters: Mapped[int] = mapped_column(default=0)
    tombstones: Mapped[int] = mapped_column(default=0)
    progress_records: Mapped[int] = mapped_column(default=0)
    late: Mapped[int] = mapped_column(default=0)
    updated_at: Mapped[int]


class Document(Base):
    __tablename__ = "documents"
    __table_args__ = (LONG_BY_MONTH,)
    observed_at: Mapped[int] = mapped_column(primary_key=True)
    row_id: Mapped[int] = mapped_column(primary_key=True)
    doc_key: Mapped[int]
    text_hash: Mapped[int]
    fingerprint: Mapped[int]
    kind: Mapped[int] = _small()
    source_id: Mapped[int | None] = mapped_column(Integer)
    lang: Mapped[str]
    scored: Mapped[bool] = mapped_column(Boolean)
    late: Mapped[bool] = mapped_column(Boolean)
    flags: Mapped[int] = mapped_column(Integer)
    text: Mapped[str]
    title: Mapped[str | None]
    url: Mapped[str | None]
    external_id: Mapped[str | None]
    author_hash: Mapped[int | None]
    published_at: Mapped[int | None]
    symbols: Mapped[list[Any] | None]
    engagement: Mapped[dict[str, Any] | None]
    extra: Mapped[dict[str, Any] | None]
    unscored_reason: Mapped[str | None]
    stored_at: Mapped[int]


class SearchQueue(Base):
    """Documents that the search index does not have yet; see :mod:`barometer.store.search.index`, whose own tables the
    two databases have each in their way."""

    __tablename__ = "search_queue"
    __table_args__ = (CLUSTERED,)
    observed_at: Mapped[int] = mapped_column(primary_key=True)
    row_id: Mapped[int] = mapped_column(primary_key=True)


class Prediction(Base):
    __tablename__ = "predictions"
    __table_args__ = (BY_MONTH,)
    observed_at: Mapped[int] = mapped_column(primary_key=True)
    row_id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = _small(primary_key=True)
    sentiment: Mapped[int] = _small()
    p_negative: Mapped[float] = mapped_column(Real)
    p_neutral: Mapped[float] = mapped_column(Real)
    p_positive: Mapped[float] = mapped_column(Real)
    topics: Mapped[dict[str, Any]]
    """Topics above their thresholds, with probabilities."""


class Series(Base):
    """What is watched: ``topic:real_estate``, ``all``, later ``symbol:600519`` and ``watch:NAME``."""

    __tablename__ = "series"
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(unique=True)
    judged: Mapped[bool] = mapped_column(Boolean, default=True)
    """False: counted and shown, never an alert (the total ``all``)."""
    trial: Mapped[bool] = mapped_column(Boolean, default=False)
    """True: alerts are shown, never notified."""


class RuleHit(Base):
    """A text that a red-line rule matched: written by the worker with the text, raised by the leader."""

    __tablename__ = "rule_hits"
    row_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    rule: Mapped[str] = mapped_column(primary_key=True)
    observed_at: Mapped[int] = mapped_column(index=True)
    series: Mapped[str]
    """What the alert is about: ``watch:COMPANY`` or ``rule:NAME``."""
    kind: Mapped[int] = _small()
    severity: Mapped[str]
    level: Mapped[str | None]
    quiet: Mapped[bool] = mapped_column(Boolean)
    words: Mapped[list[Any]]
    company: Mapped[str | None]
    tier: Mapped[int] = _small()
    fingerprint: Mapped[int]
    text: Mapped[str]
    title: Mapped[str | None]
    url: Mapped[str | None]
    source: Mapped[str | None]
    summary: Mapped[dict[str, Any]]
    """The rule's name for people, by language."""
    about: Mapped[list[Any] | None]
    """Whom the text names where it matched."""
    handled_at: Mapped[int | None] = mapped_column(index=True)


class SeriesDocument(Base):
    """Which scored documents belong to a series, with what sealing and evidence need of them."""

    __tablename__ = "series_documents"
    __table_args__ = (BY_MONTH,)
    series_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    observed_at: Mapped[int] = mapped_column(primary_key=True)
    row_id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[int] = _small()
    sentiment: Mapped[int] = _small()
    p_negative: Mapped[float] = mapped_column(Real)
    fingerprint: Mapped[int]
    late: Mapped[bool] = mapped_column(Boolean)


class Rollup(Base):
    """Counts by bucket, per partition, so that workers never fight over a row. Late documents are counted apart."""

    __tablename__ = "rollups"
    __table_args__ = (CLUSTERED,)
    bucket: Mapped[int] = mapped_column(primary_key=True)
    """Start of the bucket."""
    series_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    kind: Mapped[int] = _small(primary_key=True)
    log_id: Mapped[int] = _small(primary_key=True)
    partition: Mapped[int] = _small(primary_key=True)
    model_id: Mapped[int] = _small(primary_key=True)
    total: Mapped[int] = mapped_column(default=0)
    """All that are not late: negative + neutral + positive + unscored."""
    negative: Mapped[int] = mapped_column(default=0)
    neutral: Mapped[int] = mapped_column(default=0)
    positive: Mapped[int] = mapped_column(default=0)
    unscored: Mapped[int] = mapped_column(default=0)
    late: Mapped[int] = mapped_column(default=0)


class SealedBucket(Base):
    """What a closed bucket held, for good, with the detector's judgement of it. ``end - start`` is one bucket, or a
    stretch without records."""

    __tablename__ = "sealed_buckets"
    __table_args__ = (CLUSTERED,)
    series_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    kind: Mapped[int] = _small(primary_key=True)
    start: Mapped[int] = mapped_column(primary_key=True)
    end: Mapped[int]
    total: Mapped[int] = mapped_column(default=0)
    negative: Mapped[int] = mapped_column(default=0)
    neutral: Mapped[int] = mapped_column(default=0)
    positive: Mapped[int] = mapped_column(default=0)
    unscored: Mapped[int] = mapped_column(default=0)
    independent: Mapped[int] = mapped_column(default=0)
    """Scored documents that are no copies of an earlier one within the copy window."""
    independent_negative: Mapped[int] = mapped_column(default=0)
    model_id: Mapped[int | None] = _small()
    """The model of most of the bucket's predictions."""
    score: Mapped[float | None]
    alert: Mapped[bool] = mapped_column(Boolean, default=False)
    outage: Mapped[bool] = mapped_column(Boolean, default=False)
    expected_total: Mapped[float | None]
    expected_negative: Mapped[float | None]
    band_low: Mapped[float | None]
    band_high: Mapped[float | None]
    term: Mapped[int]


class FoldedBucket(Base):
    """Sealed buckets added up to an hour or to six: what pictures of weeks and months are drawn from. It follows from
    ``sealed_buckets`` and can be made anew from them."""

    __tablename__ = "folded_buckets"
    __table_args__ = (CLUSTERED,)
    width: Mapped[int] = mapped_column(Integer, primary_key=True)
    """Milliseconds."""
    series_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    kind: Mapped[int] = _small(primary_key=True)
    start: Mapped[int] = mapped_column(primary_key=True)
    total: Mapped[int]
    negative: Mapped[int]
    neutral: Mapped[int]
    positive: Mapped[int]
    unscored: Mapped[int]
    independent: Mapped[int]
    independent_negative: Mapped[int]
    judged_negative: Mapped[int]
    """Of the buckets that had an expectation; so are the scored texts and what was expected."""
    judged_scored: Mapped[int]
    expected_total: Mapped[float | None]
    expected_negative: Mapped[float | None]
    spread_below: Mapped[float]
    """Sum of the squares of the bucket's bands below their expectation, and above it."""
    spread_above: Mapped[float]
    score: Mapped[float | None]
    """The highest; the same of the three that follow."""
    alert: Mapped[bool] = mapped_column(Boolean)
    outage: Mapped[bool] = mapped_column(Boolean)
    model_id: Mapped[int | None] = _small()


class SealingState(Base):
    """How far the topic is sealed. One row a log."""

    __tablename__ = "sealing_state"
    log_id: Mapped[int] = _small(primary_key=True)
    sealed_until: Mapped[int]
    empty_since: Mapped[int | None]
    term: Mapped[int]
    updated_at: Mapped[int]


class SeriesState(Base):
    """The detector of one series and kind, as of its last sealed bucket."""

    __tablename__ = "series_state"
    __table_args__ = (CLUSTERED,)
    series_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    kind: Mapped[int] = _small(primary_key=True)
    last_bucket_end: Mapped[int]
    detector_version: Mapped[str]
    state: Mapped[dict[str, Any]] = mapped_column(OpaqueJson)
    term: Mapped[int]


class Fingerprint(Base):
    """Copies within the copy window: the first row of each normalised text, per series. Kept by the leader."""

    __tablename__ = "fingerprints"
    __table_args__ = (CLUSTERED,)
    series_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    fingerprint: Mapped[int] = mapped_column(primary_key=True)
    last_observed_at: Mapped[int] = mapped_column(index=True)
    copies: Mapped[int] = mapped_column(default=1)


class DeadLetter(Base):
    __tablename__ = "dead_letters"
    row_id: Mapped[int] = mapped_column(AutoId, primary_key=True, autoincrement=False)
    record_timestamp: Mapped[int]
    reason: Mapped[str]
    detail: Mapped[str]
    headers: Mapped[list[Any]]
    """[[name, value in base64], ...]"""
    key: Mapped[bytes | None]
    value: Mapped[bytes]
    value_length: Mapped[int]
    value_sha256: Mapped[bytes]
    replay_of: Mapped[int | None]
    stored_at: Mapped[int]
    relayed_at: Mapped[int | None] = mapped_column(index=True)
    replayed_at: Mapped[int | None]
    replays: Mapped[int] = mapped_column(Integer, default=0)


class Identity(Base):
    """The row that holds a (document, text): the least in (late, observed_at, row) of all that claim it."""

    __tablename__ = "identities"
    __table_args__ = (CLUSTERED,)
    doc_key: Mapped[int] = mapped_column(primary_key=True)
    text_hash: Mapped[int] = mapped_column(primary_key=True)
    observed_at: Mapped[int]
    row_id: Mapped[int]
    late: Mapped[bool] = mapped_column(Boolean)


class Source(Base):
    __tablename__ = "sources"
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[int]
    muted: Mapped[bool] = mapped_column(Boolean, default=False)
    """True: its silence raises no alarm."""


class SourceRollup(Base):
    """How much a source sent in an hour (start, UTC), per partition; where silence shows."""

    __tablename__ = "source_rollups"
    __table_args__ = (CLUSTERED,)
    source_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    hour: Mapped[int] = mapped_column(primary_key=True)
    log_id: Mapped[int] = _small(primary_key=True)
    partition: Mapped[int] = _small(primary_key=True)
    total: Mapped[int]
    last_observed_at: Mapped[int]


class Lease(Base):
    """Who may do a thing that one process does at a time; the term grows with every change of hands."""

    __tablename__ = "leases"
    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    term: Mapped[int]
    expires_at: Mapped[int]
    """By the database's clock."""


class Process(Base):
    """Heartbeats of the running roles, for ``barometer status`` and the System page."""

    __tablename__ = "processes"
    id: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[int]
    seen_at: Mapped[int]
    state: Mapped[str]
    info: Mapped[dict[str, Any]]


class Job(Base):
    """Last run of each periodic job."""

    __tablename__ = "jobs"
    name: Mapped[str] = mapped_column(primary_key=True)
    started_at: Mapped[int]
    finished_at: Mapped[int | None]
    ok: Mapped[bool | None] = mapped_column(Boolean)
    message: Mapped[str | None]


class Alert(Base):
    __tablename__ = "alerts"
    id: Mapped[int] = mapped_column(AutoId, primary_key=True, autoincrement=True)
    type: Mapped[str]
    """surge, rule or system."""
    fingerprint: Mapped[str] = mapped_column(index=True)
    """What merges into one alert: the series' name, or ``system:lag`` and the like."""
    series_id: Mapped[int | None] = mapped_column(Integer, ForeignKey("series.id"))
    kinds: Mapped[list[Any]]
    state: Mapped[str] = mapped_column(index=True)
    """firing, acknowledged, resolved."""
    severity: Mapped[str]
    """info, warning, critical: the worst so far."""
    level: Mapped[str | None]
    """一般, 较大, 重大 as ordinary, major, grave."""
    level_at: Mapped[int | None]
    """When the level was set: deadlines of its steps count from then."""
    level_by: Mapped[str | None]
    """``rule:NAME``, or the person who said so and is not overruled by a rule."""
    assignee: Mapped[str | None]
    incident_id: Mapped[int | None] = mapped_column(index=True)
    """Alerts that share a cause are one incident; none for alerts about the product itself."""
    snoozed_until: Mapped[int | None]
    """Nobody is told before then, unless it gets worse."""
    started_at: Mapped[int] = mapped_column(index=True)
    """Start of the first bucket that belongs to it."""
    detected_at: Mapped[int]
    """End of the bucket at which it opened."""
    peak_at: Mapped[int]
    ended_at: Mapped[int | None] = mapped_column(index=True)
    """End of the bucket at which the detector let go; a person may resolve earlier or later."""
    last_bucket_end: Mapped[int]
    acknowledged_at: Mapped[int | None]
    acknowledged_by: Mapped[str | None]
    resolved_at: Mapped[int | None]
    resolved_by: Mapped[str | None]
    resolution: Mapped[str | None]
    score: Mapped[float]
    expected_negative: Mapped[float]
    seen_negative: Mapped[int]
    seen_total: Mapped[int]
    window_seconds: Mapped[int]
    arm: Mapped[str | None]
    detector_version: Mapped[str | None]
    model_id: Mapped[int | None] = _small()
    parameters: Mapped[dict[str, Any]]
    explanation: Mapped[dict[str, Any]]
    evidence: Mapped[list[Any]]
    """Copies of the most telling texts: sources delete."""
    updated_at: Mapped[int]


class AlertEvent(Base):
    """Every change of an alert: when, who, what and why. Never changed, never deleted."""

    __tablename__ = "alert_events"
    id: Mapped[int] = mapped_column(AutoId, primary_key=True, autoincrement=True)
    alert_id: Mapped[int] = mapped_column(ForeignKey("alerts.id"), index=True)
    at: Mapped[int]
    actor: Mapped[str]
    """A user's name, or ``detector``, ``system``."""
    action: Mapped[str]
    comment: Mapped[str | None]
    data: Mapped[dict[str, Any]]


class AlertStep(Base):
    """What an alert's level asks to be done, until when, and who did it."""

    __tablename__ = "alert_steps"
    alert_id: Mapped[int] = mapped_column(AutoId, ForeignKey("alerts.id"), primary_key=True, autoincrement=False)
    step: Mapped[str] = mapped_column(primary_key=True)
    """assess 研判, respond 处置, report 报告, review 总结."""
    state: Mapped[str]
    """open, done, waived."""
    due_at: Mapped[int] = mapped_column(index=True)
    done_at: Mapped[int | None]
    done_by: Mapped[str | None]
    note: Mapped[str | None]
    overdue_at: Mapped[int | None]
    """When it was first found to be overdue, and told."""


class Incident(Base):
    """Alerts with one cause: the same texts, or near-copies of them, in several series."""

    __tablename__ = "incidents"
    id: Mapped[int] = mapped_column(AutoId, primary_key=True, autoincrement=True)
    opened_at: Mapped[int]
    """When its first alert was detected."""
    sketches: Mapped[list[Any]]
    """What its texts are known again by, each with the id of its row."""
    updated_at: Mapped[int]


class Silence(Base):
    """Who must not be told of what, from when to when, and why. All that is given must fit."""

    __tablename__ = "silences"
    id: Mapped[int] = mapped_column(AutoId, primary_key=True, autoincrement=True)
    series: Mapped[str | None]
    """A series' name, or a pattern with ``*``; none: every series."""
    severity: Mapped[str | None]
    """The worst that is still kept quiet."""
    source: Mapped[str | None]
    """A source's name or pattern: of most of an alert's texts."""
    word: Mapped[str | None]
    """A word that most of an alert's texts have."""
    windows: Mapped[list[Any] | None]
    """Within the period only at these hours: ``[{"days": ..., "from": "22:00", "to": "06:00"}]``."""
    starts_at: Mapped[int]
    ends_at: Mapped[int] = mapped_column(index=True)
    created_by: Mapped[str]
    created_at: Mapped[int]
    comment: Mapped[str]
    expired_by: Mapped[str | None]
    """Who ended it before its time."""


class Notification(Base):
    """The outbox: what has to be told to whom, and why. Marked as sent only after the channel took it."""

    __tablename__ = "notifications"
    __table_args__ = (UniqueConstraint("alert_id", "receiver", "channel", "sequence"),)
    id: Mapped[int] = mapped_column(AutoId, primary_key=True, autoincrement=True)
    alert_id: Mapped[int] = mapped_column(ForeignKey("alerts.id"), index=True)
    receiver: Mapped[str]
    channel: Mapped[int] = mapped_column(Integer, default=0)
    """Which of the receiver's channels, by its place in the file."""
    sequence: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str]
    """first, worse, repeated, escalated, unsnoozed, overdue, resolved."""
    state: Mapped[str] = mapped_column(index=True)
    """pending, sending, sent, failed, silenced, cancelled."""
    message_id: Mapped[str]
    """One idempotency key over all attempts."""
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[int]
    not_before: Mapped[int]
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    term: Mapped[int | None]
    sent_at: Mapped[int | None]
    last_error: Mapped[str | None]


class NotificationAttempt(Base):
    """One try at sending, recorded before it is made."""

    __tablename__ = "notification_attempts"
    id: Mapped[int] = mapped_column(AutoId, primary_key=True, autoincrement=True)
    notification_id: Mapped[int] = mapped_column(ForeignKey("notifications.id"), index=True)
    at: Mapped[int]
    term: Mapped[int]
    finished_at: Mapped[int | None]
    ok: Mapped[bool | None] = mapped_column(Boolean)
    error: Mapped[str | None]


class ModelVersion(Base):
    __tablename__ = "model_versions"
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(unique=True)
    precision: Mapped[str]
    topics: Mapped[list[Any]]
    state: Mapped[str]
    """seen, challenger, champion, retired."""
    created_at: Mapped[int]
    promoted_at: Mapped[int | None]
    metrics: Mapped[dict[str, Any]]


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    """Empty: there is no password; the user comes in by the provider of ``oidc_subject``."""
    role: Mapped[str]
    """viewer, analyst, admin."""
    active: Mapped[bool] = mapped_column(Boolean, default=True)
    created_at: Mapped[int]
    last_login_at: Mapped[int | None]
    preferences: Mapped[dict[str, Any]]
    oidc_subject: Mapped[str | None] = mapped_column(unique=True, index=True)
    """Issuer, a space, and the subject there."""


class UserSession(Base):
    """One log-in of a browser. What names it is in the browser's cookie; here is only its hash."""

    __tablename__ = "sessions"
    digest: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(Integer, ForeignKey("users.id"), index=True)
    started_at: Mapped[int]
    seen_at: Mapped[int]
    """Last time that a person did something, to the minute; screens that refresh by themselves do not count."""
    ends_at: Mapped[int]
    address: Mapped[str]


class ApiToken(Base):
    """A key to the API in a user's name; only its hash is kept."""

    __tablename__ = "api_tokens"
    id: Mapped[int] = mapped_column(AutoId, primary_key=True, autoincrement=True)
    user_id: Mapped[int] = mapped_column(Integer, ForeignKey("users.id"), index=True)
    name: Mapped[str]
    digest: Mapped[str] = mapped_column(unique=True)
    scope: Mapped[str]
    """read, act."""
    created_at: Mapped[int]
    created_by: Mapped[str]
    expires_at: Mapped[int]
    last_used_at: Mapped[int | None]
    """To the minute."""
    revoked_at: Mapped[int | None]
    revoked_by: Mapped[str | None]


class RateCount(Base):
    """How often something was tried within a stretch of time, for limits that hold for all processes together."""

    __tablename__ = "rate_counts"
    key: Mapped[str] = mapped_column(primary_key=True)
    hits: Mapped[int]
    ends_at: Mapped[int]


class LabelText(Base):
    """A text that people label: a copy of it, since sources and retention delete, with what the model said of it when
    it was taken, and how it came here."""

    __tablename__ = "label_texts"
    __table_args__ = (
        UniqueConstraint("observed_at", "row_id"),
        Index("ix_label_texts_origin_drawn", "origin", "drawn_at"),
    )
    id: Mapped[int] = mapped_column(AutoId, primary_key=True, autoincrement=True)
    observed_at: Mapped[int]
    row_id: Mapped[int]
    fingerprint: Mapped[int] = mapped_column(index=True)
    sketch: Mapped[str]
    """See :mod:`barometer.near_duplicates`."""
    group_id: Mapped[int | None] = mapped_column(index=True)
    """The first text that this one is a near-copy of; its own id if of none. A group counts once in a figure, and is
    never divided between what trains and what measures."""
    kind: Mapped[int] = _small()
    lang: Mapped[str]
    source: Mapped[str | None]
    title: Mapped[str | None]
    text: Mapped[str]
    url: Mapped[str | None]
    model_id: Mapped[int | None] = _small()
    """Whose answer this is; none: the text was unscored."""
    sentiment: Mapped[int | None] = _small()
    p_negative: Mapped[float | None]
    p_neutral: Mapped[float | None]
    p_positive: Mapped[float | None]
    topics: Mapped[dict[str, Any]]
    origin: Mapped[str]
    """random, active, alert, document: how it was taken first. Only random ones may measure."""
    samples: Mapped[list[Any]]
    """The random samples that it is in: ``all``, names of series."""
    drawn_at: Mapped[int]
    offered_to: Mapped[int | None] = mapped_column(Integer)
    """The user in front of whom it was last put, so that two do not get it at once."""
    offered_at: Mapped[int | None]
    labels: Mapped[int] = mapped_column(Integer, default=0)
    """People whose label stands."""
    skips: Mapped[int] = mapped_column(Integer, default=0)
    disputed: Mapped[bool] = mapped_column(Boolean, default=False)
    """No sentiment has more than half of the labels."""


class Annotation(Base):
    """What a person said a text is. A new opinion is a new row, rows are never changed: the latest of a user counts."""

    __tablename__ = "annotations"
    id: Mapped[int] = mapped_column(AutoId, primary_key=True, autoincrement=True)
    text_id: Mapped[int] = mapped_column(AutoId, ForeignKey("label_texts.id"), index=True)
    user_id: Mapped[int] = mapped_column(Integer, ForeignKey("users.id"), index=True)
    action: Mapped[str]
    """label, skip (cannot say), undo (takes back the user's row before)."""
    sentiment: Mapped[int | None] = _small()
    topics: Mapped[list[Any] | None]
    """None: nothing was said of topics; an empty list: it has none."""
    comment: Mapped[str | None]
    origin: Mapped[str]
    """The queue that the text was in front of the user from: random, active, alert, document."""
    blind: Mapped[bool] = mapped_column(Boolean)
    """The user had not been shown the model's answer."""
    model_id: Mapped[int | None] = _small()
    """The model whose answer stood beside it."""
    previous_id: Mapped[int | None]
    """The same user's row on the same text that this one replaces."""
    created_at: Mapped[int]


class AuditEntry(Base):
    """Acts of operators and administrators that are not about one alert."""

    __tablename__ = "audit_log"
    id: Mapped[int] = mapped_column(AutoId, primary_key=True, autoincrement=True)
    at: Mapped[int]
    actor: Mapped[str]
    action: Mapped[str]
    object: Mapped[str]
    data: Mapped[dict[str, Any]]
