"""Rebalances of every cause on Apache Kafka: is every partition read to its end afterwards?"""
