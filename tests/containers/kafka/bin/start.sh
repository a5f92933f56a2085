#!/bin/bash
# The broker, set up by variables as in the image that this stands in for: KAFKA_LOG_DIRS is log.dirs.
set -eu
settings=/tmp/server.properties
for name in "${!KAFKA_@}"; do
  key=${name#KAFKA_}
  key=${key//_/.}
  echo "${key,,}=${!name}"
done >"$settings"
here=${0%/*}
"$here/run.sh" kafka.tools.StorageTool format --ignore-formatted -t "$CLUSTER_ID" -c "$settings"
exec "$here/run.sh" kafka.Kafka "$settings"
