"""backfilld: a date-backfill daemon that verifies results in the warehouse instead of trusting exit codes.

The folders beside this package are linked into it, so that everything is imported under one name.
"""

__version__ = "0.2.0"
