"""The only SQL on the state database: one module per table, functions over an open transaction.

`database.Database` gives the transactions. A function that changes rows takes a writing one; no function
starts a process or asks a warehouse, so no write transaction ever waits for the outside.
"""
