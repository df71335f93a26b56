"""A hunt for counter-examples to what the market promises: a crowd, a saboteur, a history, a checker."""
