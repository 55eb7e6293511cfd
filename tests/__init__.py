"""Tests: unit, integration, simulation, acceptance. `tests.factories` builds what they need."""
