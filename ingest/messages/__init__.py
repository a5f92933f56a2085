"""From a record of the topic to a document: envelopes, decoding, odd headers and batches."""
