"""What is wrong is said alike by the status, the screens and the alarms; running alerts are always listed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update

from barometer.commands.status_view import print_status
from barometer.settings import Settings
from barometer.store import alerts, leases
from barometer.store import tables as t
from barometer.store.alerts import Finding, apply_finding
from barometer.store.engine import Store
from barometer.store.status import status
from dashboard.server import make_app
from monitor.alarms import Alarms
from tests.browser.seed import ADMIN, PASSWORD, seed
from tests.integration.api_client import log_in


def alarm(store: Store, name: str, severity: Any = "critical") -> None:
    with store.write() as c:
        now = store.now_ms(c)
        apply_finding(c, Finding("system", f"system:{name}", None, None, True, severity, now, now, summary="x"), now)


def test_a_running_alarm_is_a_problem_of_the_status(
    store: Store, settings_for: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_for()
    for name in ("sealing", "channel:oncall/mail"):
        alarm(store, name)
    report = status(store, settings)
    assert [a["name"] for a in report["alarms"]] == ["channel:oncall/mail", "sealing"]
    assert {p["name"] for p in report["problems"] if p["code"] == "alarm"} == {"sealing", "channel:oncall/mail"}
    print_status(report, settings.zone)
    out = capsys.readouterr().out
    assert "all is well" not in out
    assert "an alarm runs: sealing (critical)" in out
    assert "unknown, since no worker reads" in out
    with store.write() as c:
        c.execute(update(t.Alert).values(ended_at=1, state="resolved"))
    assert not [p for p in status(store, settings)["problems"] if p["code"] == "alarm"]


def test_times_of_the_status_are_of_the_zone_and_name_it(
    store: Store, settings_for: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_for(timezone="America/New_York")
    seed(store, settings, days=0.3, users=False)
    print_status(status(store, settings), settings.zone)
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("watermark"))
    assert "-05:00" in line or "-04:00" in line
    assert "UTC" not in line


def test_a_stream_that_is_behind_has_no_silent_sources(store: Store, settings_for: Callable[..., Settings]) -> None:
    """What has not been read cannot be heard: an archive of yesterday is being read."""
    settings = settings_for(silent_source_factor=1)
    seed(store, settings, days=9, users=False)
    with store.write() as c:
        now = store.now_ms(c)
        back = 20 * 3_600_000
        c.execute(update(t.Offset).values(progress_t=now - back))
        r = t.SourceRollup
        c.execute(r.__table__.delete().where(r.hour > now - back - 3_600_000))  # type: ignore[attr-defined]
        c.execute(update(r).where(r.last_observed_at > now - back).values(last_observed_at=now - back))
        lease = leases.acquire(store, leases.LEADER, "tests", 600)
    assert not [s for s in status(store, settings)["sources"] if s["silent"]]
    if lease is not None:
        Alarms(store, settings, hold_seconds=0, patience_seconds=0).check(lease)
        with store.read() as c:
            names = [r.fingerprint for r in c.execute(t.Alert.__table__.select())]
        assert not [n for n in names if n.startswith("system:silent")]


def test_home_lists_running_alerts_with_who_has_them(store: Store, settings_for: Callable[..., Settings]) -> None:
    settings = settings_for(database_url=str(store.url))
    seed(store, settings, days=1)
    with store.write() as c:
        now = store.now_ms(c)
        for row in c.execute(t.Alert.__table__.select().where(t.Alert.state == "firing")).all():
            alerts.acknowledge(c, row.id, "王工", None, now)
    client = make_app(settings, store).server.test_client()
    log_in(client, ADMIN, PASSWORD)
