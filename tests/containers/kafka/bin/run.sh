#!/bin/bash
# CLASS ARGUMENTS...: one of Kafka's classes; up sooner and slower at work than by the JVM's defaults.
exec java -Xmx512m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "${0%/*}/../libs/*" "$@"
