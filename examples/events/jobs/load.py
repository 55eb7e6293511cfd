"""Load the export into the lake: load.py START END."""

import sys

from partition_writer import write

start, end = sys.argv[1:]
rows = f"SELECT * FROM read_csv('source/events.csv') WHERE date BETWEEN DATE '{start}' AND DATE '{end}'"
write(rows, "raw.events")
