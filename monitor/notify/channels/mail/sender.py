"""Mail by SMTP: text and HTML, with the idempotency key as Message-ID, so that a repeat shows as what it is."""

from __future__ import annotations

import smtplib
import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr

from barometer.settings import Settings
from barometer.unreached import said, unreached
from monitor.notify.channels.base import SendError, Sent
from monitor.notify.channels.mail.settings import MailSettings
from monitor.notify.formats import cut, one_line
from monitor.notify.message import Message

TIMEOUT_SECONDS = 30.0
GREETING_SECONDS = 3.0
"""A server that says nothing for so long may be waiting for TLS."""


class Mail:
    """Sends to the addresses of one channel, all in one mail."""

    def __init__(self, config: MailSettings, settings: Settings) -> None:
        self._to, self._settings = config.to, settings

    def send(self, message: Message) -> Sent:
        s = self._settings
        try:
            smtp = _connected(s)
            try:
                if s.smtp_user:
                    smtp.login(s.smtp_user, s.smtp_password.get_secret_value() if s.smtp_password else "")
                refused = smtp.send_message(compose(message, self._to, s.mail_from))
                # The mail is taken: a bad good-bye must not make us send it again.
                with suppress(smtplib.SMTPException, OSError):
                    smtp.quit()
            finally:
                smtp.close()
        except smtplib.SMTPRecipientsRefused as e:
            codes = [code for code, _ in e.recipients.values()]
            raise SendError(
                f"the server refused all recipients: {_refusals(e.recipients)}", permanent=all(c >= 500 for c in codes)
            ) from None
        except smtplib.SMTPAuthenticationError as e:
            # The password may be put right while we wait; the answer may quote it, so only the code is kept.
            raise SendError(f"the server refused smtp_user and smtp_password (SMTP {e.smtp_code})") from None
        except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as e:
            raise SendError(_answer(e), permanent=e.smtp_code >= 500) from None
        except smtplib.SMTPResponseException as e:
            raise SendError(_answer(e)) from None
        except (smtplib.SMTPException, OSError) as e:
            raise SendError(one_line(_why(e, s))) from None
        # Sending again would repeat it to those who have it: a partly refused mail counts as taken, and says so.
        return Sent(f"refused: {_refusals(refused)}" if refused else "accepted")

    def preview(self, message: Message) -> str:
        mail = compose(message, self._to, self._settings.mail_from)
        names = ("Subject", "From", "To", "Message-ID", "References")
        return "\n".join([*(f"{name}: {mail[name]}" for name in names), "", message.text])


def _connected(s: Settings) -> smtplib.SMTP:
    """A connection that is as secret as the settings want it."""
    how = s.smtp_encryption
    if how == "tls":
        return smtplib.SMTP_SSL(s.smtp_host, s.smtp_port, timeout=TIMEOUT_SECONDS, context=_tls())
    try:
        smtp = smtplib.SMTP(s.smtp_host, s.smtp_port, timeout=GREETING_SECONDS)
    except smtplib.SMTPServerDisconnected as e:
        if not isinstance(e.__context__, TimeoutError):
            raise
        if _speaks_tls_at_once(s):
            raise SendError(said("smtp_tls", _at(s))) from None
        smtp = smtplib.SMTP(s.smtp_host, s.smtp_port, timeout=TIMEOUT_SECONDS)
    if smtp.sock is not None:
        smtp.sock.settimeout(TIMEOUT_SECONDS)
    if how == "starttls":
        try:
            smtp.starttls(context=_tls())
        except BaseException:
            smtp.close()
            raise
    return smtp


def _speaks_tls_at_once(s: Settings) -> bool:
    """Whether a server that has not greeted us takes a TLS handshake: it waited for us as we did for it."""
    unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # nothing is sent over it, so whoever answers may be anybody
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((s.smtp_host, s.smtp_port), GREETING_SECONDS) as plain,
            unchecked.wrap_socket(plain, server_hostname=s.smtp_host),
        ):
            return True
    except OSError:
        return False


def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _why(error: Exception, s: Settings) -> str:
    if (
        isinstance(error, ssl.SSLError)
        and not isinstance(error, ssl.SSLCertVerificationError)
        and s.smtp_encryption == "tls"
    ):
        return said("smtp_no_tls", _at(s), f"{type(error).__name__}: {error}")
    return unreached(error, _at(s), TIMEOUT_SECONDS)


def _at(s: Settings) -> str:
    return f"{s.smtp_host}:{s.smtp_port}"


def compose(message: Message, to: list[str], sender: str) -> EmailMessage:
    """The mail. All of one alert hang together in a thread."""
    domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    mail = EmailMessage()
    mail["Subject"] = cut(one_line(message.title), 180)
    mail["From"] = sender
    mail["To"] = ", ".join(to)
    mail["Date"] = format_datetime(datetime.fromtimestamp(message.facts["told_at"] / 1000, UTC))
    mail["Message-ID"] = f"<{message.id}@{domain}>"
    mail["References"] = f"<alert-{message.facts['alert_id']}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    if message.facts["severity"] == "critical" and not message.resolved:
        mail["X-Priority"] = "1"
    mail.set_content(message.text, cte="base64")
    mail.add_alternative(message.html, subtype="html", cte="base64")
    return mail


def _answer(e: smtplib.SMTPResponseException) -> str:
    return f"SMTP {e.smtp_code}: {cut(one_line(_text(e.smtp_error)), 200)}"


def _refusals(refused: dict[str, tuple[int, bytes]]) -> str:
    return "; ".join(f"{to} (SMTP {code}: {cut(one_line(_text(why)), 80)})" for to, (code, why) in refused.items())


def _text(answer: bytes | str) -> str:
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
