"""The worker: reads the topic, labels the texts, writes the store."""
