"""A directory of Parquet partitions as a warehouse, read by DuckDB."""
