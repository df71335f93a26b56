"""Commands for operators: backups, rebuilding, resynchronising, dead letters, and consumers' subjects."""
