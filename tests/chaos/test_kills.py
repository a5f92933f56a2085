"""``kill -9`` of everything, seeded: at named points and at random. The rows end as if nothing had happened.

The long version is ``python -m bench.kills``; this is one run of it on each database.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.kills.actors import Killing
from bench.kills.campaign import everything
from bench.kills.rows import Rows
from bench.kills.runs import Stage, run, stage, undisturbed
from bench.kills.servers import broker_and_database
from bench.kills.texts import Shape
from tests.conftest import ROOT

SEED = int(os.environ.get("BAROMETER_CHAOS_SEED", "20260"))
SHORT = Shape(buckets=18, a_bucket=40, surges=(("楼市", 10, 12), ("股市", 14, 16)))
KILLS = 6

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def played() -> Iterator[tuple[Stage, Rows]]:
    """A filled topic, and what an undisturbed run on SQLite leaves; both databases must end with the same rows."""
    pytest.importorskip("moto.server", reason="the object store under the broker's log: pip install 'moto[server]'")
    before = Path.cwd()
    os.chdir(ROOT)  # the roles' process imports from here
    try:
        with (
            broker_and_database() as (broker, postgres, folder),
            stage(broker, postgres, folder, shape=SHORT, seed=SEED, pace=0.02, receivers=2) as made,
        ):
            calm = undisturbed(made, sqlite=True)
            assert calm.wrong == []
            assert all(calm.stored[name] for name in calm.stored), "the log must hold everything that is compared"
            yield made, calm.stored
    finally:
        os.chdir(before)


def killed(played: tuple[Stage, Rows], killings: tuple[Killing, ...], *, sqlite: bool) -> list[str]:
    made, want = played
    out = run(made, killings, f"{SEED}", sqlite=sqlite, want=want)
    assert out.wrong == []
    return out.kills


def test_everything_killed_on_postgresql(played: tuple[Stage, Rows]) -> None:
    kills = killed(played, everything(KILLS), sqlite=False)
    assert {"postmaster at random", "backend at random", "broker at random"} <= set(kills)
    assert len(kills) >= KILLS


def test_worker_and_leader_killed_on_sqlite(played: tuple[Stage, Rows]) -> None:
    assert len(killed(played, everything(KILLS, servers=False), sqlite=True)) >= KILLS // 2
