"""The file of receivers as the dashboard reads it: the same that the monitor goes by, without what it keeps secret."""

from __future__ import annotations

from barometer.errors import SettingsError
from dashboard.context import context
from monitor.notify.config import NotifyConfig, load_config

KEPT_SECONDS = 5.0


def people_file() -> tuple[NotifyConfig | None, str]:
    """What the file says now, or None and why it cannot be used. Secrets are not looked up."""
    app = context()

    def read() -> tuple[NotifyConfig | None, str]:
        try:
            return load_config(app.settings, check_secrets=False), ""
        except SettingsError as e:
            return None, str(e)

    return app.brief.get("people-file", read, KEPT_SECONDS)
