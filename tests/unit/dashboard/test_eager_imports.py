"""Whatever a request needs is imported before the first one: two threads that import one library at once may see half
of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_CODE = """
import sys, threading
from pathlib import Path
from zoneinfo import ZoneInfo
import dashboard.app, dashboard.exports.document_export, dashboard.server
from dashboard.exports.document_files import as_csv, write_parquet, write_xlsx
from tests.unit.dashboard.test_eager_imports import a_text

def packages():
    return {name.partition(".")[0] for name in sys.modules}

folder, zone, faults = Path(sys.argv[1]), ZoneInfo("Asia/Shanghai"), []
a_text()
known = packages()

def export(n):
    try:
        write_parquet([a_text()] * 3, folder / f"{n}.parquet")
        write_xlsx([a_text()], folder / f"{n}.xlsx", zone, "s", ["h"], ("a", []), lambda _column, code: code)
        list(as_csv([a_text()], zone))
    except Exception as e:
        faults.append(repr(e))

threads = [threading.Thread(target=export, args=(n,)) for n in range(6)]
[t.start() for t in threads]
[t.join() for t in threads]
late = packages() - known - set(sys.stdlib_module_names)
print("LATE", sorted(x for x in late if not x.startswith("_")), "RUNBOOK", faults)
"""


def a_text() -> object:
    from barometer.store.documents.listing import Text

    return Text(
        1_700_000_000_000, 7, 1, 0, 0.9, "晨报", None, "正文", None, False, 1, {"market": 0.9}, "zh", None, False, 0.05,
        0.05, "m1", 0, None, 3, ["600001"], {"reads": 3},
    )  # fmt: skip


def test_exports_of_many_at_once_import_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CODE, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "LATE [] RUNBOOK []" in done.stdout
    assert len(list(tmp_path.iterdir())) == 12
