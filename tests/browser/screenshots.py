"""The pictures of the README and docs: a demo, headless Chromium, a few pages.

    python -m tests.browser.screenshots [FOLDER]

Runs the demo until its alert has fired, and writes PNG files to ``docs/images`` (or FOLDER).
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run"]  # fmt: skip
WAIT_SECONDS = 240.0
LARGEST = 300_000
CHINESE = (
    ("home", "/", 860),
    ("overview", "/overview", 860),
    ("series", "/series/topic:real_estate", 1500),
    ("documents", "/documents?q=%E5%81%9C%E5%B7%A5&sentiment=negative", 860),
    ("annotate", "/annotate", 1000),
)
"""Name of the picture, address and height; beside them stands the page of the alert."""
ENGLISH_DARK = (("overview", "/overview?view=heat"),)


class Demo:
    """A running demo and what it has printed."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app", "demo", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)

    def wait(self, pattern: str) -> re.Match[str]:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            for line in list(self.lines):
                found = re.search(pattern, line)
                if found:
                    return found
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the demo did not come so far:\n" + "".join(self.lines))
            time.sleep(0.2)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)


def shoot(page: Page, base: str, path: str, file: Path, wait_ms: int = 2_500) -> None:
    page.goto(base + path)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(wait_ms)
    keep(page, file)


def keep(page: Page, file: Path) -> None:
    """Write what the page shows, in at most ``LARGEST`` bytes: with fewer colours where it must be."""
    page.screenshot(path=str(file))
    for colours in (256, 128, 64):
        if file.stat().st_size <= LARGEST:
            break
        with Image.open(file) as picture:
            picture.convert("RGB").quantize(colours, dither=Image.Dither.NONE).save(file, optimize=True)
    print(f"{file}: {file.stat().st_size // 1000} kB")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    demo = Demo()
    try:
        base = demo.wait(r"http://127\.0\.0\.1:\d+").group(0)
        password = demo.wait(r"password (\S+)").group(1)
        demo.wait("reached the present")
        time.sleep(8)
        with sync_playwright() as p:
            browser = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            page = browser.new_page(
                viewport={"width": 1280, "height": 860}, locale="zh-CN", timezone_id="Asia/Shanghai"
            )
            page.goto(base + "/")
            page.fill("input[name=name]", "demo")
            page.fill("input[name=password]", password)
            page.click("button[type=submit]")
            page.wait_for_load_state("networkidle")
            for name, path, height in CHINESE:
                page.set_viewport_size({"width": 1280, "height": height})
                shoot(page, base, path, folder / f"{name}.png")
            page.set_viewport_size({"width": 1280, "height": 860})
            page.goto(base + "/")
            page.click("a[href^='/alerts/']:has-text('房地产')")
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(2_500)
            keep(page, folder / "alert.png")
            page.click("#switch-lang")
            page.wait_for_timeout(1_500)
            page.click("#switch-theme")
            page.wait_for_timeout(1_500)
            for name, path in ENGLISH_DARK:
                shoot(page, base, path, folder / f"{name}-en-dark.png")
            browser.close()
    finally:
        demo.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images"))
