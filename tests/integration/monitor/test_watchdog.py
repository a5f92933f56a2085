"""When no monitor leads: told by one process that noticed, once, and over when a monitor is back. And signs of life."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from barometer.errors import BarometerError
from barometer.settings import Settings
from barometer.store import leases
from barometer.store.engine import Store
from barometer.store.tables import Alert, Job, Notification
from barometer.store.tables import Lease as LeaseRow
from monitor.alarms.checks import Alarms
from monitor.alarms.dead_mans_switch import NEEDED, Heartbeat
from monitor.alarms.watchdog import FINGERPRINT, Watchdog, watching
from monitor.notify.config import NotifyConfig
from monitor.notify.outbox.enqueue import enqueue
from monitor.notify.outbox.sending import send_due
from testing.post_box import PostBox
from tests.integration.monitor.test_outbox import box, config, configured, fire, lead, receiver, rows, store

__all__ = ["box", "config", "store"]
MINUTE = 60_000


def leave(store: Store, minutes: float) -> None:
    """The leader's lease ran out so long ago."""
    lead(store)
    with store.write() as c:
        c.execute(update(LeaseRow).values(expires_at=store.now_ms(c) - int(minutes * MINUTE)))


def now(store: Store) -> int:
    with store.read() as c:
        return store.now_ms(c)


def told(box: PostBox) -> list[tuple[str, str]]:
    return [(b["groupLabels"]["series"], b["commonAnnotations"]["reason"]) for b in box.bodies()]


def test_of_many_watchdogs_one_tells_and_a_monitor_that_is_back_ends_it(
    store: Store, config: NotifyConfig, box: PostBox
) -> None:
    leave(store, 6)
    barrier, stood_in = threading.Barrier(4), []

    def look() -> None:
        dog = Watchdog(store, config.settings, since_ms=0)
        barrier.wait()
        for _ in range(3):
            stood_in.append(dog.check())

    threads = [threading.Thread(target=look) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert any(stood_in)
    assert told(box) == [(FINGERPRINT, "first")]
    assert "看门程序" in box.bodies()[0]["commonAnnotations"]["summary"]
    lease = lead(store, "monitor")
    assert not Watchdog(store, config.settings, since_ms=0).check()
    Alarms(store, config.settings, lambda c, change, at: enqueue(c, change, config, at), hold_seconds=0).check(lease)
    send_due(store, lease, config, now(store))
    assert told(box) == [(FINGERPRINT, "first"), (FINGERPRINT, "resolved")]
    assert [a.state for a in rows(store, Alert)] == ["resolved"]


@pytest.mark.parametrize(("gone", "running"), [(4, 60), (60, 4), (-1, 60)], ids=["not long", "just started", "led"])
def test_nobody_is_missed_too_early(
    store: Store, config: NotifyConfig, box: PostBox, gone: float, running: float
) -> None:
    leave(store, gone)
    assert not Watchdog(store, config.settings, since_ms=now(store) - int(running * MINUTE)).check()
    assert box.received == []
    assert rows(store, Alert) == []


def test_what_the_dead_leader_left_is_sent(store: Store, config: NotifyConfig, box: PostBox) -> None:
    fire(store, config, "topic:a", at=now(store))
    lease = lead(store)
    with store.write() as c:
        c.execute(update(Notification).values(state="sending", term=lease.term, attempts=1, not_before=2**50))
    leave(store, 6)
    assert Watchdog(store, config.settings, since_ms=0).check()
    assert sorted(told(box)) == [(FINGERPRINT, "first"), ("topic:a", "first")]
    assert {n.state for n in rows(store)} == {"sent"}


def test_the_lease_is_free_again_after_each_look(store: Store, config: NotifyConfig) -> None:
    leave(store, 6)
    dog = Watchdog(store, config.settings, since_ms=0)
    assert dog.check()
    assert leases.holder_of(store, leases.LEADER) is None
    assert dog.check()  # it goes on as long as nobody leads
    assert lead(store, "monitor").term == 4


def test_who_cannot_tell_leaves_it_to_others(store: Store, config: NotifyConfig, tmp_path: Path) -> None:
    leave(store, 6)
    (tmp_path / "notify.yaml").write_text("receivers: [")
    assert not Watchdog(store, config.settings, since_ms=0).check()
    assert rows(store, Alert) == []


def test_a_thread_watches(store: Store, box: PostBox, tmp_path: Path) -> None:
    leave(store, 0)
    url = store.url.render_as_string(hide_password=False)
    config = configured(tmp_path, {"receivers": [receiver("oncall", box)]}, database_url=url, leader_gone_minutes=0.01)
    with watching(config.settings, look_seconds=0.1):
        deadline = time.monotonic() + 30
        while not box.received and time.monotonic() < deadline:
            time.sleep(0.05)
    assert told(box) == [(FINGERPRINT, "first")]


# --- signs of life ---------------------------------------------------------------------------------------------------


def beating(store: Store, box: PostBox, tmp_path: Path, **jobs: Any) -> Settings:
    with store.write() as c:
        for name in NEEDED:
            values = {"name": name, "started_at": 0, "finished_at": store.now_ms(c), "ok": True, "message": None}
            c.execute(insert(Job).values(**(values | jobs.get(name, {}))))
    return configured(tmp_path, {}, heartbeat_url=f"{box.url}/t0ken").settings


def test_a_leader_that_works_says_so_outside(store: Store, box: PostBox, tmp_path: Path) -> None:
    lease = lead(store)
    Heartbeat(store, beating(store, box, tmp_path)).beat(lease)
    (said,) = box.bodies()
    assert (said["leader"], said["term"]) == ("a", lease.term)


@pytest.mark.parametrize("fault", [{"ok": False}, {"finished_at": 1}, {"finished_at": None}])
def test_a_leader_that_does_not_do_its_work_is_silent(
    store: Store, box: PostBox, tmp_path: Path, fault: dict[str, Any]
) -> None:
    settings = beating(store, box, tmp_path, outbox=fault)
    with pytest.raises(BarometerError, match="the job outbox"):
        Heartbeat(store, settings).beat(lead(store))
    assert box.received == []


def test_a_heartbeat_that_is_not_taken_is_a_failed_job_without_the_token(
    store: Store, box: PostBox, tmp_path: Path
) -> None:
    settings = beating(store, box, tmp_path)
    box.answers = [(404, {})]
    with pytest.raises(BarometerError, match="HTTP 404") as e:
        Heartbeat(store, settings).beat(lead(store))
    assert "t0ken" not in str(e.value)
