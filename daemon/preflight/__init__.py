"""Preflight: checks that say whether everything is ready to start."""
