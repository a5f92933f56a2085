"""Pauses between logins that fail: a directory locks an account after a few wrong passwords, and an account that is
locked stays away longer than a password that is changed."""

from __future__ import annotations

import threading
import time

FIRST_SECONDS = 30.0
MOST_SECONDS = 300.0
"""Tries at 0, 30, 90, 210, 450 s, then every five minutes: two in the first minute."""


class Logins:
    """The failed logins of one user at one place, for the whole process: its clients share the pauses.

    While the last login failed, one may be tried at a time, when the pause is over or the credentials are others.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._until = 0.0
        self._proof = ""
        self._trying_until = 0.0
        self.why = ""
        """What the other side said to the last failure."""

    def pause(self, proof: str) -> float:
        """Seconds until these credentials may be tried again; 0: now.

        Args:
            proof: changes with the credentials (:attr:`barometer.broker.access.Access.proof`).
        """
        with self._lock:
            return self._pause(proof)

    def begin(self, proof: str, seconds: float) -> bool:
        """Whether to try a login now. After a failure it is one at a time: a try that nobody says the end of is over
        after ``seconds``."""
        with self._lock:
            if self._pause(proof) > 0:
                return False
            if self._failures and proof == self._proof:
                if time.monotonic() < self._trying_until:
                    return False
                self._trying_until = time.monotonic() + seconds
            return True

    def failed(self, proof: str, why: str) -> None:
        """These credentials were refused."""
        with self._lock:
            now = time.monotonic()
            if proof != self._proof:
                self._proof, self._failures, self._until = proof, 0, 0.0
            self._trying_until = 0.0
            self.why = why
            if now < self._until:
                return  # one of several that were under way when the first was refused
            self._failures += 1
            self._until = now + min(FIRST_SECONDS * 2 ** (self._failures - 1), MOST_SECONDS)

    def succeeded(self) -> None:
        """They were taken."""
        with self._lock:
            self._failures, self._until, self._proof, self._trying_until, self.why = 0, 0.0, "", 0.0, ""

    def ended(self) -> None:
        """A try came to nothing before the other side could judge it."""
        with self._lock:
            self._trying_until = 0.0

    def _pause(self, proof: str) -> float:
        return max(0.0, self._until - time.monotonic()) if proof == self._proof else 0.0


_known: dict[tuple[str, ...], Logins] = {}
_known_lock = threading.Lock()


def logins(*key: str) -> Logins:
    """The process's one record of logins by this key: place, kind, user."""
    with _known_lock:
        return _known.setdefault(key, Logins())


def forget_logins() -> None:
    """As in a process that has just begun."""
    with _known_lock:
        _known.clear()
