"""The engine: one task per file, run by `Engine` on the two workers of the service."""
