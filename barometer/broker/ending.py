"""Ending a producer of kafka-python's, whatever became of what it was given.

Its own ``close(timeout)`` waits for records that are under way and raises when they do not arrive in time; the client's
thread then goes on, the next ``close`` raises as well, and so does the collection of the object, with a traceback.
"""

from __future__ import annotations

from kafka import KafkaProducer
from kafka.errors import KafkaError


def end_producer(producer: KafkaProducer, seconds: float) -> None:
    """End it now; what is under way and not acknowledged fails. Raises nothing.

    Args:
        seconds: so long its thread is waited for.
    """
    if producer._closed:
        return
    if producer._accumulator.has_incomplete:
        producer._sender.force_close()
    try:
        producer.close(timeout=seconds)
    except KafkaError:
        producer._closed = True
