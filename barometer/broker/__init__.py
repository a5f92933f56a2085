"""Everything between Barometer and a Kafka broker that is not about records: options, logins, reasons of failures.

:mod:`barometer.broker.clients` is the one place where kafka-python clients are made.
"""
