"""Load one source into the lake: load.py SOURCE START END."""

import sys

from partition_writer import write

source, start, end = sys.argv[1:]
rows = f"SELECT * FROM read_csv('source/{source}.csv') WHERE date BETWEEN DATE '{start}' AND DATE '{end}'"
write(rows, f"raw.{source}")
