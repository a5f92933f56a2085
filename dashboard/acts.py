"""What people do to alerts, from the screens and from the API: one door, with the check of who may."""

from __future__ import annotations

from flask_login import current_user

from barometer.errors import BarometerError
from barometer.store import alerts
from dashboard.context import context

RESOLUTIONS = ("real", "false_alarm", "known", "other")
MAX_COMMENT = 2_000


class Forbidden(BarometerError):
    """The user's role does not allow this."""


def act(what: str, alert_id: int, comment: str | None, resolution: str | None = None) -> None:
    """Acknowledge or resolve an alert in the name of the user who is logged in.

    Raises:
        Forbidden: the role is viewer.
        BarometerError: no such alert, or not in a state for this; or the input is malformed.
    """
    if not current_user.may_act:
        raise Forbidden(f"{current_user.name} is a {current_user.role}: only analysts and administrators act on alerts")
    said = (comment or "").strip() or None
    if said and len(said) > MAX_COMMENT:
        raise BarometerError(f"comment: at most {MAX_COMMENT} characters")
    store = context().store
    with store.write() as c:
        now = store.now_ms(c)
        if what == "acknowledge":
            alerts.acknowledge(c, alert_id, current_user.name, said, now)
        elif resolution not in RESOLUTIONS:
            raise BarometerError(f"resolution {resolution!r}: use one of {', '.join(RESOLUTIONS)}")
        else:
            alerts.resolve(c, alert_id, current_user.name, resolution, said, now)
