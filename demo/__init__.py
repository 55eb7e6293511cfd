"""A small platform of real jobs that fills a lake for real NBA dates.

It stands in for the BigQuery platform that backfilld was built for: fourteen jobs with that platform's
command lines and habits, run as real processes, write Parquet partitions that DuckDB reads. Its
misbehaviour is real too and comes by switch. Nothing here imports the daemon.

* `processors`: what each job writes and reads, as a table
* `command_line`: how differently jobs want to be told their dates
* `lake`: partitions, the game schedule and the run history
* `bigquery`: a copy of what jobs write, for an emulator that is judged in the lake's place
* `job`: what every job does; `jobs/` holds the fourteen command lines
* `misbehave`: switches a job's misbehaviour on
* `witness`: who ran when, for whoever wants to check the daemon's promises afterwards
"""
