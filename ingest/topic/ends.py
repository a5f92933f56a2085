"""Beginnings and ends of partitions, asked of the broker independently of fetching.

The ends that a fetch brings along are not enough: where no fetch comes back (a quota, a lost right, a partition that
nobody was given) they stand still, and a lag of 0 would be shown while records wait.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import IncompatibleBrokerVersion, KafkaError, KafkaTimeoutError
from kafka.protocol.consumer import OffsetForLeaderEpochRequest

EARLIEST, LATEST = -2, -1
ASK_SECONDS = 2.0
FRESH_SECONDS = 6.0
"""An answer older than that is no evidence of what is there now."""

_Topic = OffsetForLeaderEpochRequest.OffsetForLeaderTopic
_Partition = _Topic.OffsetForLeaderPartition


async def _offsets(consumer: KafkaConsumer, partitions: list[TopicPartition], which: int) -> dict[int, int]:
    """partition -> offset, of those whose leader answers: one that doesn't keeps nobody else waiting."""
    fetcher, manager = consumer._fetcher, consumer._manager
    by_node = fetcher._group_list_offset_requests(dict.fromkeys(partitions, which))
    asked = [manager.call_soon(fetcher._send_list_offsets_request, node, what) for node, what in by_node.items()]
    out: dict[int, int] = {}
    for future in asked:
        try:
            found, _retry = await future
        except KafkaError:
            continue
        out.update({tp.partition: int(at.offset) for tp, at in found.items() if at.offset >= 0})
    return out


def beginnings(consumer: KafkaConsumer, topic: str, partitions: Iterable[int], seconds: float) -> dict[int, int]:
    """The first offset of each partition whose leader answers in time."""
    return _asked(consumer, topic, partitions, EARLIEST, seconds)


def endings(consumer: KafkaConsumer, topic: str, partitions: Iterable[int], seconds: float) -> dict[int, int]:
    """The end (mark, or last stable offset) of each partition whose leader answers in time. A leader that has just been
    elected doesn't answer before its mark is known again."""
    return _asked(consumer, topic, partitions, LATEST, seconds)


def _asked(
    consumer: KafkaConsumer, topic: str, partitions: Iterable[int], which: int, seconds: float
) -> dict[int, int]:
    wanted = [TopicPartition(topic, p) for p in partitions]
    future = consumer._manager.call_soon(_offsets, consumer, wanted, which)
    try:
        found: dict[int, int] = consumer._net.run(consumer._manager.wait_for, future, seconds * 1000)
    except KafkaTimeoutError:
        return {}
    return found


class Ends:
    """The ends of all partitions of a topic, refreshed in the background by :meth:`turn`.

    An end is what may be read: the last stable offset with ``isolation_level=read_committed``.
    """

    def __init__(self, consumer: KafkaConsumer, topic: str) -> None:
        self._consumer, self._topic = consumer, topic
        self._asked: Any = None
        self._next = 0.0
        self._known: dict[int, tuple[float, int]] = {}

    def turn(self, partitions: int) -> None:
        """Take what was answered, ask when it is due; never waits."""
        now = time.monotonic()
        if self._asked is not None:
            if not self._asked.is_done:
                return
            if self._asked.succeeded():
                self._known.update({p: (now, end) for p, end in self._asked.value.items()})
            self._asked = None
        if now >= self._next and partitions:
            self._next = now + ASK_SECONDS
            wanted = [TopicPartition(self._topic, p) for p in range(partitions)]
            self._asked = self._consumer._manager.call_soon(_offsets, self._consumer, wanted, LATEST)

    def known(self) -> dict[int, int]:
        """partition -> end, of the partitions of which the broker said something lately."""
        now = time.monotonic()
        return {p: end for p, (at, end) in self._known.items() if now - at <= FRESH_SECONDS}


def log_ends(consumer: KafkaConsumer, topic: str, partitions: Iterable[int], seconds: float) -> dict[int, int] | None:
    """Where the leader's own log of each partition ends, whether its followers have it yet or not (the high-water mark
    may lie below for as long as too few of them are in sync); None from a broker that cannot say (before Kafka 2.1).

    Only partitions whose leader answers in time are in it. By OffsetForLeaderEpoch for the present epoch (KIP-320).
    """
    cluster, manager = consumer._cluster, consumer._manager
    by_node: dict[Any, list[Any]] = {}
    for p in partitions:
        tp = TopicPartition(topic, p)
        node, epoch = cluster.leader_for_partition(tp), cluster.leader_epoch_for_partition(tp)
        if node is None or node == -1 or epoch is None or epoch < 0:
            continue
        by_node.setdefault(node, []).append(_Partition(partition=p, current_leader_epoch=epoch, leader_epoch=epoch))
    out: dict[int, int] = {}
    for node, asked in by_node.items():
        request = OffsetForLeaderEpochRequest(replica_id=-1, topics=[_Topic(topic=topic, partitions=asked)])
        try:
            answer = consumer._net.run(_answer, manager, request, node, seconds * 1000)
        except IncompatibleBrokerVersion:
            return None
        except KafkaError:
            continue
        out.update(_ends_in(answer))
    return out


async def _answer(manager: Any, request: Any, node: Any, timeout_ms: float) -> Any:
    return await manager.wait_for(manager.send(request, node_id=node), timeout_ms)


def _ends_in(answer: Any) -> Mapping[int, int]:
    return {
        p.partition: int(p.end_offset)
        for topic in answer.topics
        for p in topic.partitions
        if p.error_code == 0 and p.end_offset >= 0
    }
