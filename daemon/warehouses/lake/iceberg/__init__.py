"""Iceberg tables in a lake: their metadata says which files are part of the table, by the extra `iceberg`."""
