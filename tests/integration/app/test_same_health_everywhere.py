"""What is wrong is said alike by the status, the screens and the alarms; running alerts are always listed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from plotly.utils import PlotlyJSONEncoder
from sqlalchemy import select, update

from app.commands.status_view import print_status
from barometer.settings import Settings
from barometer.store import leases
from barometer.store import tables as t
from barometer.store.alerts import life_cycle
from barometer.store.alerts.life_cycle import Finding, apply_finding
from barometer.store.engine import Store
from barometer.store.health.status import status
from dashboard.app import create_app
from dashboard.context import View
from dashboard.pages.home import _waiting
from monitor.alarms.checks import Alarms
from tests.support.seed import seed


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
    assert "nothing is wrong" not in out
    assert "stream      empty" in out
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
        c.execute(update(t.Lease).values(expires_at=0))  # the seed's own leader goes
    lease = leases.acquire(store, leases.LEADER, "tests", 600)
    assert lease is not None
    assert not [s for s in status(store, settings)["sources"] if s["silent"]]
    Alarms(store, settings, hold_seconds=0, patience_seconds=0).check(lease)
    with store.read() as c:
        names = list(c.execute(select(t.Alert.fingerprint).where(t.Alert.detected_at >= now)).scalars())
    assert not [n for n in names if n.startswith("system:silent")]


@pytest.mark.parametrize("waits", [True, False])
def test_home_lists_running_alerts_with_who_has_them(
    store: Store, settings_for: Callable[..., Settings], waits: bool
) -> None:
    settings = settings_for()
    seed(store, settings, days=1, users=False)
    with store.write() as c:
        now = store.now_ms(c)
        firing = c.execute(select(t.Alert.id).where(t.Alert.state == "firing").order_by(t.Alert.id)).scalars().all()
        if not waits:
            for alert_id in firing:
                if c.execute(select(t.Alert.state).where(t.Alert.id == alert_id)).scalar() == "firing":
                    life_cycle.acknowledge(c, alert_id, "王工", None, now)
        running = c.execute(
            select(t.Alert.id).where(t.Alert.state != "resolved", t.Alert.ended_at.is_(None), t.Alert.type != "system")
        ).scalars().all()  # fmt: skip
    assert running
    with create_app(settings, store).test_request_context("/"):
        shown = json.dumps(_waiting(View("zh", "light")), cls=PlotlyJSONEncoder, ensure_ascii=False)
    assert all(f"/alerts/{i}" in shown for i in running)
    assert "没有待确认的告警" not in shown
    assert ("等待确认" in shown) == waits
    assert ("正在处理" in shown) != waits
    assert waits or "由 王工 负责" in shown
