"""Commands for operators: backup, rebuild, resync, dead letters, and the subjects of a consumer."""
