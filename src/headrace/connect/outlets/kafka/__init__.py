"""Samples and events to a Kafka-compatible broker, by librdkafka. Needs the extra `kafka`."""
