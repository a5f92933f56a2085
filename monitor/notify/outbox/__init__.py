"""The transactional outbox: notifications are written with the change of the alert and sent after the commit, at least
once.

:mod:`~monitor.notify.outbox.enqueue` runs in the transaction that changes the alert;
:mod:`~monitor.notify.outbox.reminders` writes what the passing of time asks for;
:mod:`~monitor.notify.outbox.sending` sends what is due. The rows are those of ``store/alerts/notifications``.
"""
