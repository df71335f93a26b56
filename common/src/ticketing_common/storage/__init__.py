"""MongoDB: documents changed by compare-and-set, each with an outbox of the events it causes."""
