"""Brokers of three lost while texts are produced, seeded; the long version is ``python -m bench.kills.brokers``."""

from __future__ import annotations

import os

import pytest

from bench.kills.brokers import play, summed, world
from bench.kills.cluster import Cluster
from bench.kills.outages import LINES
from bench.kills.servers import Postgres
from ingest.local_broker.apache_kafka import NoKafka
from testing.postgres import PostgresServer
from tests.conftest import ROOT

SEED = os.environ.get("BAROMETER_CHAOS_SEED", "20260")
LOST = ("a partition's leader / power lost", "the group's coordinator / frozen")
MOST_SECONDS = 30.0
"""From sending to the row; so long a request waits where its limit is kafka-python's own. The bench asks for 10."""

pytestmark = pytest.mark.slow


def test_what_is_sent_while_brokers_are_lost_is_stored_once(
    own_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)  # the roles' process imports from here
    try:
        cluster = Cluster()
    except NoKafka as e:
        pytest.skip(str(e))
    lines = [x for x in LINES if x.title in LOST]
    with cluster, world(cluster, Postgres(own_postgres)) as w:
        part = play(w, lines, SEED)
    assert part.wrong == []
    assert part.rows > 0
    by_line = summed([part])
    assert set(by_line) == set(lines)
    assert all(d.to_row for d in by_line.values())
    assert {x.title: d.share(0.99) for x, d in by_line.items() if d.share(0.99) > MOST_SECONDS} == {}
