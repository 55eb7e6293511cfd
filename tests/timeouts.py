"""How long a test waits for what must come."""

PATIENCE = 600.0
"""Seconds. They only end a hang: nothing is measured by them, and a slow and busy machine is green too."""
