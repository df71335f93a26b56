"""What every Ticketing service is built from; each module opens with what it owns."""
