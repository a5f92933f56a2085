"""The worker's metrics, for Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RECORDS = Counter("barometer_worker_records_total", "Records written, by what they turned out to be", ["outcome"])
LATE = Counter("barometer_worker_late_total", "Documents that came after their bucket had been passed")
UNSCORED = Counter("barometer_worker_unscored_total", "Documents stored without a prediction", ["reason"])
BATCH = Histogram(
    "barometer_worker_batch_documents", "Documents in a batch", buckets=(0, 1, 4, 16, 64, 128, 256, 512, 1024, 4096)
)
STAGE = Histogram(
    "barometer_worker_stage_seconds",
    "Time a batch takes in a stage",
    ["stage"],
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
)
LAG = Gauge("barometer_worker_lag_records", "Records in the log that are not written yet", ["partition"])
POSITION = Gauge("barometer_worker_position", "Next offset to be written", ["partition"])
WAITS = Counter("barometer_worker_waits_total", "Times the worker had to wait for something that is away", ["for"])
REBALANCES = Counter("barometer_worker_rebalances_total", "Times that partitions were dealt out anew")
STALE = Counter("barometer_worker_stale_writes_total", "Batches refused because somebody else had moved on first")
DISCARDED = Counter("barometer_worker_discarded_total", "Records read from partitions that were not ours any more")
RENEWALS = Counter("barometer_worker_renewals_total", "Consumers replaced because they no longer read what was there")
SILENT_CONNECTIONS = Counter(
    "barometer_worker_silent_connections_total", "Connections closed because the broker did not answer on them"
)
STATE = Gauge("barometer_worker_state", "1 for the state that the worker is in", ["state"])
