#!/usr/bin/env bash
# Software   Apache Kafka 4.4.0 (KRaft, one broker), through kafka-python 3.0.12.
# Guessed    An idempotent producer that repeats a request (same producer id, epoch and sequence) leaves one record, also if the broker was
#            restarted in between: the producer's state is in the log.
# Happens    That holds for records of now. For records whose *timestamps* are more than a day old (producer.id.expiration.ms) the broker forgets
#            the producer when it loads the log, since it dates a producer by the time of its newest record. The repeated request is appended
#            and acknowledged: the record is there twice.
# Matters    to whoever imports archives with their own timestamps.
# Output     as seen on 2026-11-30:
#                now:          first at 0, repeated after a restart: 0 (recognised)
#                two days ago: first at 0, repeated after a restart: 1 (stored again)
# Needs      KAFKA_HOME (a folder with libs/*.jar of Apache Kafka 4.4.0), Java 17, Python 3.11. Exit code 1: it behaves otherwise now.
set -euo pipefail
: "${KAFKA_HOME:?set KAFKA_HOME to the folder of an Apache Kafka 4.4.0}"
folder=$(mktemp -d)
broker=
trap '{ [ -z "$broker" ] || { kill -9 "$broker"; wait "$broker"; }; rm -rf "$folder"; } 2>/dev/null' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "kafka-python[crc32c]==3.0.12"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
quorum=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat > "$folder/broker.properties" <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$quorum
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$quorum
advertised.listeners=PLAINTEXT://127.0.0.1:$port
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=$folder/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
END
run() { java -Xmx512m -cp "$KAFKA_HOME/libs/*" "$@"; }
run kafka.tools.StorageTool format -t "$(python3 -c 'import base64, uuid; print(base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="))')" \
    -c "$folder/broker.properties" > "$folder/format.log" 2>&1
up() {
    java -Xmx512m -cp "$KAFKA_HOME/libs/*" kafka.Kafka "$folder/broker.properties" > "$folder/broker.log" 2>&1 &
    broker=$!
    for _ in $(seq 240); do
        python3 -c "import socket; socket.create_connection(('127.0.0.1', $port), 1)" 2>/dev/null && return
        sleep 0.5
    done
    echo "the broker did not come up"; exit 2
}
restart() { kill -9 "$broker"; wait "$broker" 2>/dev/null || true; up; }
up
cat > "$folder/show.py" <<'END'
import sys
import time

from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

bootstrap, when, moment = sys.argv[1:]
at = int(time.time() * 1000) - (2 * 86_400_000 if when == "old" else 0)
topic = f"of-{when}"
if moment == "first":
    admin = KafkaAdminClient(bootstrap_servers=bootstrap, bootstrap_timeout_ms=60_000)
    admin.create_topics({topic: {"num_partitions": 1, "configs": {"retention.ms": "-1"}}}, wait_for_metadata=True)
    admin.close()
producer = KafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, acks="all", bootstrap_timeout_ms=60_000)
first = producer.send(topic, b"text", partition=0, timestamp_ms=at).get(60).offset
print("sent", flush=True)
sys.stdin.readline()  # the broker is killed and started again meanwhile
# What a client does whose answer was lost: the same producer, the same sequence number.
producer._transaction_manager.set_sequence_number(TopicPartition(topic, 0), 0)
again = producer.send(topic, b"text", partition=0, timestamp_ms=at).get(120).offset
said = "recognised" if again == first else "stored again"
print(f"{'now:         ' if when == 'now' else 'two days ago:'} first at {first}, repeated after a restart: {again} ({said})")
producer.close(timeout=5)
END
show() {
    coproc SHOW { "$folder/venv/bin/python" "$folder/show.py" "127.0.0.1:$port" "$1" first 2> "$folder/show.err"; }
    local pid=$SHOW_PID
    read -r -u "${SHOW[0]}" line
    [ "$line" = sent ] || { cat "$folder/show.err"; exit 2; }
    restart
    echo >&"${SHOW[1]}"
    read -r -u "${SHOW[0]}" line
    wait "$pid" || true
    echo "$line"
}
show now > "$folder/now"; cat "$folder/now"
show old > "$folder/old"; cat "$folder/old"
grep -q recognised "$folder/now" && grep -q 'stored again' "$folder/old" || { echo "it behaves otherwise now"; exit 1; }
