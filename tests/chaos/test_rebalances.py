"""Rebalances of every cause on Apache Kafka, seeded; the long version is ``python -m bench.rebalances``."""

from __future__ import annotations

import os
import random

import pytest

from bench.kills.servers import Postgres
from bench.rebalances.__main__ import courses, run, world
from bench.rebalances.causes import OPENERS, TURNS
from ingest.local_broker.apache_kafka import ApacheKafka
from testing.postgres import PostgresServer
from tests.conftest import ROOT

SEED = int(os.environ.get("BAROMETER_CHAOS_SEED", "20260"))
CAUSES = (*OPENERS, *TURNS)

pytestmark = pytest.mark.slow


def test_no_rebalance_leaves_a_partition_unread(
    secure_kafka: ApacheKafka, own_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)  # the members' process imports from here
    cells = [(cause, i % 2 == 0) for i, cause in enumerate(CAUSES)]
    todo = courses(cells, len(cells), random.Random(SEED))
    with world(secure_kafka, Postgres(own_postgres)) as w:
        trials, whole = run(w, todo, SEED, 4, len(cells))
    assert whole
    assert {x.cause for x in trials} == set(CAUSES)
    assert [(x.cause, x.busy, x.wrong) for x in trials if x.wrong] == []
