"""What an operator sees of a process: logs, metrics, traces, and the redaction of secrets in them."""
