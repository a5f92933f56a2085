"""A relay in front of the embedded broker that makes its answers those of a Kafka which does more: deletes old records,
loses its newest ones, elects another leader, or is too old to know topics by id.

Requests and answers are decoded and encoded with the client library's own schemas, so the client and the worker go the
very ways that they go with such a broker.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Any

from kafka.protocol.consumer import (
    FetchRequest,
    FetchResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
)
from kafka.protocol.metadata import ApiVersionsResponse, MetadataResponse

from tests.support.proxy import Proxy

FETCH, LIST_OFFSETS, METADATA, API_VERSIONS, EPOCHS, TOPIC_PARTITIONS = 1, 2, 3, 18, 23, 75
OUT_OF_RANGE, OFFSET_NOT_AVAILABLE = 1, 78
BEGINNING, END = -2, -1


class KafkaRelay(Proxy):
    """Set before or while clients are connected; all by partition of whatever topic.

    Attributes:
        starts: the log's first offset, where records were deleted.
        ends: the log's end, where it was cut off.
        marks: the high-water mark, where it lies below the log's end: after an election, until enough replicas are in
            sync. Nothing is given out above it, nothing is refused, and nobody is told where it is.
        epoch: what the leader's epoch is said to be; None: the broker's own.
        topic_ids: False: as before Kafka 2.8.
    """

    def __init__(self) -> None:
        super().__init__()
        self.starts: dict[int, int] = {}
        self.ends: dict[int, int] = {}
        self.marks: dict[int, int] = {}
        self.epoch: int | None = None
        self.topic_ids = True
        self._asked: dict[tuple[socket.socket, int], tuple[int, int, Any]] = {}

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            to_broker = sink.getpeername()[1] == self.target
            while frame := _frame(source):
                out = self._request(source, frame) if to_broker else self._answer(sink, frame)
                if out is not None:
                    sink.sendall(out)
        except OSError:
            pass
        for s in (source, sink):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def _request(self, client: socket.socket, frame: bytes) -> bytes | None:
        key, version, number = struct.unpack(">hhi", frame[4:12])
        asked = None
        if key == FETCH:
            request = FetchRequest.decode(frame, version, header=True, framed=True)
            asked = {p.partition: p.fetch_offset for t in request.topics for p in t.partitions}
        elif key == LIST_OFFSETS:
            request = ListOffsetsRequest.decode(frame, version, header=True, framed=True)
            asked = {p.partition_index: p.timestamp for t in request.topics for p in t.partitions}
        elif key == EPOCHS:
            request = OffsetForLeaderEpochRequest.decode(frame, version, header=True, framed=True)
            client.sendall(self._epochs(request, version, number))
            return None
        self._asked[client, number] = (key, version, asked)
        return frame

    def _answer(self, client: socket.socket, frame: bytes) -> bytes:
        key, version, asked = self._asked.pop((client, struct.unpack(">i", frame[4:8])[0]))
        kinds = {FETCH: FetchResponse, LIST_OFFSETS: ListOffsetsResponse, METADATA: MetadataResponse,
                 API_VERSIONS: ApiVersionsResponse}  # fmt: skip
        if key not in kinds:
            return frame
        kind = kinds[key]
        head = frame[4 : 9 if kind.flexible_version_q(version) and key != API_VERSIONS else 8]
        answer = kind.decode(frame[4 + len(head) :], version)
        if key == FETCH:
            for p in (p for t in answer.responses for p in t.partitions):
                self._fetched(p, asked[p.partition_index])
        elif key == LIST_OFFSETS:
            for p in (p for t in answer.topics for p in t.partitions):
                if asked[p.partition_index] == BEGINNING:
                    p.offset = self.starts.get(p.partition_index, p.offset)
                elif p.partition_index in self.marks:
                    p.error_code, p.offset = OFFSET_NOT_AVAILABLE, -1
                elif asked[p.partition_index] == END:
                    p.offset = self.ends.get(p.partition_index, p.offset)
        elif key == METADATA and self.epoch is not None:
            for p in (p for t in answer.topics for p in t.partitions):
                p.leader_epoch = self.epoch
        elif key == API_VERSIONS:
            self._versions(answer)
        answer._header = None
        return _framed(head + bytes(answer.encode(version)))

    def _fetched(self, p: Any, offset: int) -> None:
        start, end = self.starts.get(p.partition_index, 0), self.ends.get(p.partition_index)
        if offset < start or (end is not None and offset > end):
            p.error_code, p.records = OUT_OF_RANGE, None
        elif end is not None:
            p.high_watermark = p.last_stable_offset = end
            if offset == end:
                p.records = b""
        elif (mark := self.marks.get(p.partition_index)) is not None:
            p.high_watermark = p.last_stable_offset = mark
            if offset >= mark:
                p.records = b""

    def _epochs(self, request: Any, version: int, number: int) -> bytes:
        """The newest epoch that the log has of those asked for ends where the log was cut."""
        kind = OffsetForLeaderEpochResponse
        topics = [
            kind.OffsetForLeaderTopicResult(
                topic=t.topic,
                partitions=[
                    kind.OffsetForLeaderTopicResult.EpochEndOffset(
                        error_code=0, partition=p.partition, leader_epoch=p.leader_epoch,
                        end_offset=self.ends.get(p.partition, 1 << 40),
                    )
                    for p in t.partitions
                ],
            )
            for t in request.topics
        ]  # fmt: skip
        answer = kind(throttle_time_ms=0, topics=topics)
        return _framed(struct.pack(">i", number) + bytes(answer.encode(version)))

    def _versions(self, answer: Any) -> None:
        kept = []
        for k in answer.api_keys:
            if k.api_key == FETCH:
                k.max_version = 6  # none with sessions: each request says where it stands
            if not self.topic_ids and k.api_key == METADATA:
                k.max_version = 7
            if not (k.api_key == TOPIC_PARTITIONS and not self.topic_ids):
                kept.append(k)
        kept.append(type(kept[0])(api_key=EPOCHS, min_version=0, max_version=3))
        answer.api_keys = kept


def _framed(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


def _frame(source: socket.socket) -> bytes | None:
    head = _exactly(source, 4)
    if head is None:
        return None
    body = _exactly(source, struct.unpack(">i", head)[0])
    return None if body is None else head + body


def _exactly(source: socket.socket, n: int) -> bytes | None:
    out = bytearray()
    while len(out) < n:
        data = source.recv(min(1 << 20, n - len(out)))
        if not data:
            return None
        out += data
    return bytes(out)
