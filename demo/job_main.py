"""What every job script calls: it parses the command line before it imports DuckDB, so `--help` is quick."""

from __future__ import annotations

from backfilld.demo.job_options import CommandLine


def run(name: str, command_line: CommandLine, description: str | None, **options: bool) -> int:
    """Run the job for the dates of its command line and return the exit code; `options` are logged."""
    arguments = command_line.parser(description).parse_args()
    from backfilld.demo import job  # noqa: PLC0415 - importing DuckDB takes longer than the rest of `--help`

    return job.run(name, command_line, arguments, **options)
