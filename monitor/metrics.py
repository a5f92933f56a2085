"""The monitor's metrics, for Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

LEADING = Gauge("barometer_monitor_leading", "1 while this process leads")
TERM = Gauge("barometer_monitor_term", "Term of the lease that this process holds or held last")
JOB_SECONDS = Histogram(
    "barometer_monitor_job_seconds", "Time a job takes", ["job"], buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
)
JOB_FAILURES = Counter("barometer_monitor_job_failures_total", "Runs of a job that failed", ["job"])
SEALED = Counter("barometer_monitor_sealed_buckets_total", "Buckets with records that were sealed")
WATERMARK_AGE = Gauge("barometer_monitor_watermark_age_seconds", "Age of the watermark: how far behind sealing must be")
PROGRESS = Counter("barometer_monitor_progress_records_total", "Progress records written, one for each partition")
PROGRESS_HELD = Gauge(
    "barometer_monitor_progress_held", "1 while progress waits for what producers held back during a gap in the stream"
)
ALERT_CHANGES = Counter("barometer_monitor_alert_changes_total", "Changes of alerts worth telling", ["reason"])
