"""The orders service: decides which buyer gets a ticket."""
