"""Brokers on this machine for tests, benches and demos: Tansu (embedded) and Apache Kafka."""
