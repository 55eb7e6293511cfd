"""Tests of rules, one module each; no process, no clock."""
