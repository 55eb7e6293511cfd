"""The platform's data, read-only: one folder per warehouse behind the protocol of `adapter.py`."""
