"""Carries BigQuery's SQL to DuckDB's where that is exact."""
