"""Names of topics and thresholds of alerts stand in one place each."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml

from barometer.store.series.sealing import Counts
from dashboard.i18n.texts import series_name
from monitor.detection.judge import Judge
from monitor.notify.wording import series_name as told_name

TOPICS = yaml.safe_load(resources.files("models").joinpath("topics.yaml").read_text("utf-8"))
T0, BUCKET = 1_699_977_600_000, 600_000
KEY = (1, 1)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda x: x["id"])
def test_screens_and_messages_call_a_topic_alike(topic: dict[str, str]) -> None:
    name = f"topic:{topic['id']}"
    for lang in ("zh", "en"):
        assert series_name(lang, name) == told_name(name, lang) == topic[lang]  # type: ignore[arg-type]


def test_a_rule_is_called_one_on_every_page() -> None:
    assert series_name("zh", "rule:run_on_bank") == "红线：run_on_bank"


@pytest.mark.parametrize("open_at", [3.6, 4.4, 6.0])
def test_the_thresholds_that_an_alert_keeps_are_those_that_made_its_severity(open_at: float) -> None:
    judge = Judge(600, ZoneInfo("Asia/Shanghai"), open_at, lambda _s: True, lambda *_: 50)
    kept = judge.parameters
    assert (kept["open_at"], kept["open"], kept["warning"], kept["critical"]) == pytest.approx(
        (open_at, open_at - 0.2, open_at, open_at + 1.1)
    )
    for n in range(9 * 144):
        judge.bucket(T0 + n * BUCKET, T0 + (n + 1) * BUCKET, {KEY: Counts(20, 3, 17)})
    seen = set()
    for n in range(9 * 144, 9 * 144 + 12):
        bad = 7 + 3 * (n - 9 * 144)
        found = judge.bucket(T0 + n * BUCKET, T0 + (n + 1) * BUCKET, {KEY: Counts(20 + bad, bad, 20)}).found
        for f in found:
            best = judge.detectors[KEY].best
            worst = "critical" if best >= kept["critical"] else "warning" if best >= kept["warning"] else "info"
            assert f.severity == worst
            seen.add(f.severity)
    assert "critical" in seen


def test_the_documents_say_the_same() -> None:
    root = Path(__file__).resolve().parents[3] / "docs"
    settings = (root / "settings.md").read_text("utf-8")
    detector = (root / "detector.md").read_text("utf-8")
    assert "0.2 below" in settings
    assert "1.1 above" in settings
    assert "`detector_open` − 0.2" in detector
    assert "+ 1.1" in detector
