"""Keys of other tools, such as Airflow and dbt, and the key of this file that says the same."""

from __future__ import annotations

from collections.abc import Collection, Mapping

_KEYS: Mapping[str, tuple[str, ...]] = {
    "max_attempts": ("retries", "max_retries", "retry", "tries", "max_tries"),
    "backoff": ("retry_delay", "retry_interval", "retry_backoff"),
    "timeout": ("execution_timeout", "time_limit", "max_duration"),
    "since": ("start_date", "begin", "from_date"),
    "until": ("end_date", "to_date"),
    "days": ("schedule", "schedule_interval", "cron"),
    "needs": ("depends_on", "depends", "dependencies", "deps", "upstream", "upstreams", "inputs"),
    "slots": ("concurrency", "parallelism", "max_active_runs", "max_active_tasks", "workers", "threads"),
    "writers": ("concurrency", "parallelism", "max_active_tis_per_dag"),
    "command": ("cmd", "args", "argv", "bash_command", "script", "entrypoint"),
    "date_column": ("date_field", "date_col", "partition_column", "partition_by", "partition_key"),
    "table": ("output", "outputs", "destination", "target"),
    "expect": ("tests", "checks", "test", "check"),
    "env": ("environment", "env_vars"),
    "cwd": ("workdir", "working_dir", "working_directory"),
    "timezone": ("tz",),
    "url": ("dsn", "connection", "connection_string"),
}


def known_synonym(key: str, known: Collection[str]) -> str:
    """The known key that says what a key of another tool says; empty where there is none."""
    return next((name for name, words in _KEYS.items() if key in words and name in known), "")
