"""Telling people of alerts: who (``config``), what (``message``), and that it arrives (``outbox``, ``channels``)."""
