#!/bin/bash
exec "${0%/*}/run.sh" org.apache.kafka.tools.TopicCommand "$@"
