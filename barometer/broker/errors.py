"""What can be wrong between us and a broker, each a state of its own. Messages are one line, with cause and setting."""

from __future__ import annotations

from barometer.errors import BarometerError


class BrokerError(BarometerError):
    """The broker does not serve us."""

    state = "broker away"
    """The state that a process shows meanwhile."""


class BrokerUnreachable(BrokerError):
    """No broker answers as one: names the address, the cause and the setting."""


class LoginFailed(BrokerError):
    """The broker, or the token server, does not take our credentials. Tried again with growing pauses, and at once
    with other credentials."""

    state = "login failed"


class NotAuthorized(BrokerError):
    """The broker knows us, and a right is missing.

    Args:
        principal: who we are to the broker, as far as we know: ``User:worker``.
        operation: Kafka's name of it: ``Read``, ``Write``, ``Describe``, ``Create`` ...
        resource: ``topic NAME``, ``group NAME`` or ``cluster``.
        remedy: what else to do, after the right is named.
    """

    state = "not authorised"

    def __init__(self, principal: str, operation: str, resource: str, remedy: str = "") -> None:
        self.principal, self.operation, self.resource = principal, operation, resource
        super().__init__(f"{principal} lacks the right {operation} on {resource}{'; ' if remedy else ''}{remedy}")
