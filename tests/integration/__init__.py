"""Tests of parts that work together, with real files, databases and processes."""
