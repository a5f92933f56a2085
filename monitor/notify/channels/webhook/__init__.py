"""Webhook: JSON for machines, in the shape of Alertmanager's payload."""
