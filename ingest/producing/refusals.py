"""kafka-python's idempotent producer, when the broker refuses a batch.

Kafka's own client and librdkafka let the batch fail and go on. kafka-python 3.0.12 takes the refusal for the producer's
end: every batch that waits or is under way fails with the same error, though some of them arrive, and so does all that
is sent later. :func:`spare_the_rest` mends this from outside.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import kafka
from kafka import KafkaProducer
from kafka.errors import (
    InvalidRecordError,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)

OF_THE_ROW = (InvalidTimestampError, InvalidRecordError, MessageSizeTooLargeError, RecordListTooLargeError)
"""What is wrong with a record, not with the topic, the broker or our rights. The broker looks before it writes: nothing
of the batch is in the log."""
KNOWN = ("3.0.12",)
"""Versions of kafka-python of which this was read and tried."""


class NotSent(Exception):
    """This record waited behind a batch that was refused, and was taken back before it was sent."""


def shared_its_batch(error: BaseException) -> bool:
    """Whether the record is refused for another one in its batch; kafka-python says it in words alone."""
    words = str(error.args[0]) if error.args else ""
    return type(error) is KafkaError and words.startswith("Failed to append record because it was part of a batch")


def spare_the_rest(
    producer: KafkaProducer, ordered: AbstractContextManager[Any], refused: Callable[[], None], over: Callable[[], None]
) -> bool:
    """From now on a refused batch of this producer fails alone, with the batches that wait behind it in its partition
    (:class:`NotSent`): whoever sends them again has them in order. All other partitions go on.

    Args:
        ordered: held while a record is handed to the producer, so that none slips in behind a refused batch.
        refused: called with ``ordered`` held, in the client's thread, when a batch was refused.
        over: called when the producer has come to its end nevertheless, or lost track of what has arrived.

    Returns:
        False: this version of kafka-python is not known, and nothing was changed.
    """
    manager = producer._transaction_manager
    if kafka.__version__ not in KNOWN or manager is None:
        return False
    classify = manager.classify_batch_error

    def classified(error: BaseException, batch: Any, log_start_offset: int = -1) -> str:
        found = str(classify(error, batch, log_start_offset=log_start_offset))
        # An earlier try of a repeated batch may have arrived although its answer was lost.
        if found == manager.ERROR_CLASS_FATAL and isinstance(error, OF_THE_ROW) and not batch.in_retry():
            with ordered:
                refused()
                # One batch of a partition is under way at a time, so the refused one's numbers are free again.
                manager.set_sequence_number(batch.topic_partition, batch.base_sequence)
                _take_back(producer, batch.topic_partition)
            return str(
                manager.ERROR_CLASS_RETRIABLE
            )  # here, where nothing is tried again: the batch fails, that is all
        over()
        return found

    manager.classify_batch_error = classified
    return True


def _take_back(producer: KafkaProducer, partition: Any) -> None:
    """Fail what waits to be sent to a partition."""
    accumulator = producer._accumulator
    with accumulator._tp_lock(partition):
        waiting = list(accumulator._batches[partition])
        accumulator._batches[partition].clear()
        for batch in waiting:
            batch.records.close()
    for batch in waiting:
        batch.abort(NotSent())
        accumulator.deallocate(batch)
