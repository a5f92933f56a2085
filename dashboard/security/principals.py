"""Who makes a request: a person with a session, or a program with a person's token."""

from __future__ import annotations

from flask_login import UserMixin

from barometer.store.accounts import sessions, tokens, users


class SessionUser(UserMixin):
    """A user of the store as Flask-Login wants one; what names them in the cookie is the session's secret."""

    token: tokens.Bearer | None = None

    def __init__(self, user: users.User, secret: str = "", session: sessions.Session | None = None) -> None:
        self.user, self.session = user, session
        self.name, self.role, self.preferences = user.name, user.role, user.preferences
        self.may_act = user.may_act
        self._secret = secret

    def get_id(self) -> str:
        return self._secret


class TokenUser(SessionUser):
    """A program with a user's token."""

    def __init__(self, bearer: tokens.Bearer) -> None:
        super().__init__(bearer.user)
        self.token = bearer
        self.may_act = bearer.user.may_act and bearer.scope == "act"
