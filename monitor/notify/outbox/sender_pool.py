"""The threads that send: a few for each channel, so that one that hangs keeps no other waiting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import structlog

from barometer.errors import SettingsError
from barometer.store.alerts.notifications import ChannelKey, OutboxEntry
from monitor.notify.channels import HeldBack, SendError, Sent, open_channel
from monitor.notify.config import NotifyConfig
from monitor.notify.message import render

log = structlog.get_logger(__name__)

PARALLEL = 32
"""Sends at a time. No more are claimed than are sent at once, so that a claim never waits for a slow channel."""
A_CHANNEL = 4
"""Of these, for one channel of one receiver."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An entry of the outbox that is being sent."""

    entry: OutboxEntry
    attempt: int
    """The how many-th it is."""
    attempt_id: int


class SenderPool:
    """Sends under way. The leader keeps one for as long as it lives: a send that hangs goes on over several calls of
    :func:`monitor.notify.outbox.sending.send_due`."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(PARALLEL, thread_name_prefix="notify")
        self._under_way: dict[Future[Sent | SendError], Claim] = {}

    @property
    def room(self) -> int:
        """How many more can be begun."""
        return PARALLEL - len(self._under_way)

    @property
    def counts(self) -> Counter[ChannelKey]:
        """Sends under way by channel."""
        return Counter((x.entry.receiver, x.entry.channel) for x in self._under_way.values())

    def begin(self, claim: Claim, config: NotifyConfig, leading: Callable[[], bool]) -> None:
        self._under_way[self._threads.submit(send_once, claim.entry, config, leading)] = claim

    def finished(self, seconds: float | None) -> list[tuple[Claim, Sent | SendError]]:
        """Sends that have ended, with their outcomes; waits up to so many seconds for the first (None: no limit)."""
        done, _ = wait(self._under_way, seconds, FIRST_COMPLETED)
        return [(self._under_way.pop(future), future.result()) for future in done]

    def __bool__(self) -> bool:
        return bool(self._under_way)

    def close(self) -> None:
        """Begin nothing more; what is under way ends by itself, and is sent again by whoever leads next."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def send_once(entry: OutboxEntry, config: NotifyConfig, leading: Callable[[], bool]) -> Sent | SendError:
    """One attempt. Any failure is returned rather than raised, so that one message cannot hold up others."""
    receiver = config.receiver(entry.receiver)
    if receiver is None or entry.channel >= len(receiver.channels):
        return SendError("the file no longer has this receiver or channel", permanent=True)
    try:
        message = render(entry.payload, entry.message_id)
        if not leading():
            return HeldBack("not sent: the lease ran out before it could be")
        return open_channel(receiver.channels[entry.channel], config.settings).send(message)
    except SendError as e:
        return e
    except SettingsError as e:
        return SendError(str(e))
    except Exception as e:
        log.exception("notification_error", notification=entry.id, receiver=entry.receiver)
        return SendError(f"internal error: {type(e).__name__}")
