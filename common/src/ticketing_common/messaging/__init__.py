"""NATS JetStream: the stream, the relay that publishes outboxes, and the listener that consumes events."""
