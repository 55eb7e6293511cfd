"""The engine: one duty per file, called by the service's threads."""
