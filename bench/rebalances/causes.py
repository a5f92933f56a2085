"""What makes a group share out its partitions anew, done to one life; and whether it comes through."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.rebalances.life import BATCH, SESSION_MS, SLOW_SECONDS, WAITING, Life, now_ms

PATIENCE_SECONDS = SESSION_MS / 1000 + 15
"""After the cause is over everything must be read within this time, and the time that it takes to be scored."""
STILL_SECONDS = 10.0
"""When patience is over, nothing at all must have been read for so long to be stuck."""
STARTING_SECONDS = 60.0
"""Where all is read and a member says that it is not at work yet, it has so long."""
SETTLING_SECONDS = SESSION_MS / 1000 + 6
"""So long the members may take to say that they share the partitions; then the last records are sent anyway."""
SHARE_OF_THE_MACHINE = 2.0
"""What waits is scored by one member at worst, which has half a core then."""
NOTICE_SECONDS = 4.0
NOTICED_LATE = ("member frozen", "rights late")
"""A member notices at its next heartbeat that it was thrown out while it was frozen, or may not read: what it says
before then does not count."""
RIGHTS = ("Read topic", "Read group")
"""The least that a worker needs of the log."""
MOST_MEMBERS, MOST_PARTITIONS = 4, 8


def first_start(life: Life) -> None:
    """Workers start where there is no topic yet; one of them makes it."""
    _some_come(life)
    while not life.topic_is_there():
        life.wait(0.05)
    life.know_partitions(life.wanted_partitions)


def topic_made(life: Life) -> None:
    """Workers without the right to make a topic wait for it; somebody else makes it."""
    life.make_dead_letters()
    life.grant("Describe letters", *RIGHTS)
    _some_come(life)
    life.wait(life.chance.uniform(1, 5))
    life.make_topic()


def rights_late(life: Life) -> None:
    """Workers start on a topic with records in it and lack rights; or they have them, lose them, and get them back."""
    life.make_dead_letters()
    life.make_topic()
    life.fresh()
    late = life.chance.choice((("Read topic",), ("Read group",), RIGHTS))
    life.grant("Describe letters", *(r for r in RIGHTS if r not in late))
    if late == ("Read topic",) and life.chance.random() < 0.5:
        life.grant("Describe topic")
    if life.chance.random() < 0.25:
        life.grant(*late)
        _some_come(life)
        while life.unread():
            life.wait(0.2)
        life.withdraw(*late)
    else:
        _some_come(life)
    life.wait(life.chance.uniform(1, 5))
    life.grant(*late)


def _some_come(life: Life) -> None:
    for _ in range(life.chance.choice((1, 1, 2))):
        life.come()


def partitions_raised(life: Life) -> None:
    life.raise_partitions(life.partitions + life.chance.choice((1, 2)))


def comes(life: Life) -> None:
    life.come()


def leaves(life: Life) -> None:
    life.leave(signal.SIGTERM)


def killed(life: Life) -> None:
    life.leave(signal.SIGKILL)


def frozen(life: Life) -> None:
    """One member, or now and then all, for longer than a session."""
    members = list(life.members) if life.chance.random() < 0.2 else [life.chance.choice(life.members)]
    life.freeze(members, SESSION_MS / 1000 + life.chance.uniform(0.5, 4))


OPENERS: dict[str, Callable[[Life], None]] = {
    "first start": first_start,
    "topic made": topic_made,
    "rights late": rights_late,
}
"""How a life begins."""
TURNS: dict[str, Callable[[Life], None]] = {
    "partitions raised": partitions_raised,
    "member comes": comes,
    "member leaves": leaves,
    "member killed": killed,
    "member frozen": frozen,
}
"""What happens to a group at work."""
LOCKED = ("topic made", "rights late")


@dataclass
class Trial:
    """One rebalance. ``wrong`` is empty where it was survived."""

    cause: str
    busy: bool
    seconds: float = 0.0
    """From the end of the cause until every partition was read to its end and the members said so."""
    late: bool = False
    """It took longer than patience: on a machine with other work reading may go on slowly, which is not being stuck."""
    wrong: list[str] = field(default_factory=list)


def first_needed(life: Life, cause: str) -> str | None:
    """What must happen before the cause can, if anything: nobody leaves a group of one."""
    if cause in ("member leaves", "member killed") and len(life.members) < 2:
        return "member comes"
    if cause == "member comes" and len(life.members) >= MOST_MEMBERS:
        return "member leaves"
    return None


def possible(life: Life, cause: str) -> bool:
    return cause != "partitions raised" or life.partitions + 2 <= MOST_PARTITIONS


def try_out(life: Life, cause: str) -> Trial:
    """Do it, and judge by what is read against what is there.

    Records go on coming until the members say that they have shared the partitions. Then each partition gets one more;
    all must be in the store, and each partition somebody's by their own word, before patience ends.
    """
    trial = Trial(cause, life.busy)
    if cause in TURNS:
        life.feed(True)
        life.wait(life.chance.uniform(0.5, 2.0))
    (OPENERS | TURNS)[cause](life)
    began, since = time.monotonic(), now_ms()
    since += int(NOTICE_SECONDS * 1000) if cause in NOTICED_LATE else -3_600_000
    life.feed(True)
    while life.unsettled(since) and time.monotonic() - began < SETTLING_SECONDS and not life.dead():
        life.wait(0.1)
    life.feed(False)
    life.fresh()
    scoring = SHARE_OF_THE_MACHINE * life.partitions * WAITING / BATCH * SLOW_SECONDS if life.busy else 0.0
    seen, moved = life.positions(), time.monotonic()
    while True:
        trial.wrong = life.dead() or [*life.unread(), *life.unsettled(since)]
        now = time.monotonic()
        trial.seconds = now - began
        trial.late = trial.seconds > PATIENCE_SECONDS + scoring
        if (have := life.positions()) != seen:
            seen, moved = have, now
        still = STILL_SECONDS if life.unread() else STARTING_SECONDS
        if not trial.wrong or life.dead() or (trial.late and now - moved > still):
            return trial
        life.wait(0.1)
