"""Notifications of alerts: receivers and routes (``config``, ``routes``), messages (``facts``, ``message``), delivery
(``outbox``, ``channels``)."""
