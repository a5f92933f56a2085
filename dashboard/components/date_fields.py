"""Days and moments that people choose from a calendar or type, in the zone of the settings."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc

from dashboard.components.parts import aria
from dashboard.context import View


def moment(v: View, id_: str, label: str, value: str | None = None) -> Any:
    """A field for a day and a time; its value is ``2026-11-24 08:00:00``, a time of the zone."""
    return _in_language(
        v,
        dmc.DateTimePicker(
            id=id_,
            label=label,
            value=value,
            valueFormat="YYYY-MM-DD HH:mm",
            placeholder="2026-11-24 08:00",
            clearable=True,
            size="sm",
            ariaLabels=_names(v),
            monthLabelFormat="YYYY-MM",
            submitButtonProps=aria(label=v.t("date.take")),
            clearButtonProps=aria(label=v.t("date.clear")),
        ),
    )


def day(v: View, id_: str, label: str, value: str | None = None, width: int = 150) -> Any:
    """A field for a day; its value is ``2026-11-24``."""
    return _in_language(
        v,
        dmc.DateInput(
            id=id_,
            value=value,
            valueFormat="YYYY-MM-DD",
            placeholder="2026-11-24",
            clearable=True,
            size="xs",
            w=width,
            ariaLabels=_names(v),
            monthLabelFormat="YYYY-MM",
            clearButtonProps=aria(label=v.t("date.clear")),
            **aria(label=label),
        ),
    )


def _in_language(v: View, field: Any) -> Any:
    """Names of days are in ``assets/dates.js``; weeks begin on Monday."""
    return dmc.DatesProvider(field, settings={"locale": "zh-cn" if v.lang == "zh" else "en", "firstDayOfWeek": 1})


def _names(v: View) -> dict[str, str]:
    return {
        "previousMonth": v.t("date.previous"),
        "nextMonth": v.t("date.next"),
        "monthLevelControl": v.t("date.months"),
        "yearLevelControl": v.t("date.years"),
    }
