"""The queries that the product itself asks, and how their answers are read."""
